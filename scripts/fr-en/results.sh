# shellcheck shell=bash
# Sourced by the evaluation scripts: what was run already is not run again, and the report at the end.
#   FORCE    1 runs again what was run already (default: 0)
#   REPORT   0 leaves out the report at the end, as when several machines share the chunk sizes (default: 1)
#   LATENCY  latency metric of the report's curves (default: AL)
#   CVSS_C   fr-en when the data are CVSS-C's: StreamSpeech's published results are drawn beside (default: none)

# finished RESULT COMMAND …: whether the command was run already and left the file RESULT. If not, the file is removed,
# and the command noted down beside it. Stops when the result is that of another command.
finished() {
    local result=$1 note=${1%.*}.command.txt
    shift
    if [[ -e $result && ${FORCE:-0} != 1 ]]; then
        [[ -e $note && $(<"$note") == "$(printf '%q ' "$@")" ]] ||
            fail "$result was made by another command than this one (see $note): FORCE=1 replaces it, another OUTPUT or RUNS keeps it."
        say "$result is there already (FORCE=1 runs it again)"
        return
    fi
    if ((!DRY_RUN)); then
        mkdir -p "$(dirname "$result")"
        rm -f "$result"
        printf '%q ' "$@" >"$note"
    fi
    return 1
}

# report OUTPUT FOLDER …: the report of result folders; REPORT_FLAGS are more of its flags.
REPORT_FLAGS=()
report() {
    local output=$1 flags=()
    shift
    [[ -n ${LATENCY:-} ]] && flags+=(--latency "$LATENCY")
    [[ -n ${CVSS_C:-} ]] && flags+=(--cvss-c "$CVSS_C")
    [[ ${REPORT:-1} == 1 ]] || return 0
    run python -m echostream.evaluation.report "$@" --output "$output" "${flags[@]}" "${REPORT_FLAGS[@]}"
}
