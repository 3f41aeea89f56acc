# shellcheck shell=bash disable=SC2034  # used by the scripts that source this file
# Sourced by the evaluation scripts: the recogniser of output speech, and the report at the end.
#   REPORT   0 leaves out the report at the end, as when several machines share the chunk sizes (default: 1)
#   LATENCY  latency metric of the report's curves (default: AL)
#   ASR_MODEL or ASR_COMMAND  recogniser of the output speech: whisper, pocketsphinx or another --asr-model of
#            docs/evaluation.md; or a program that prints the transcript of {wav} (default: none, speech is not scored)
#   CVSS_C   fr-en when the data are CVSS-C's: StreamSpeech's published results are drawn beside (default: none)

ASR_FLAGS=()
if [[ -n ${ASR_MODEL:-} && -n ${ASR_COMMAND:-} ]]; then
    fail "ASR_MODEL and ASR_COMMAND name two recognisers: set one of them."
elif [[ -n ${ASR_MODEL:-} ]]; then
    ASR_FLAGS=(--asr-model "$ASR_MODEL")
elif [[ -n ${ASR_COMMAND:-} ]]; then
    ASR_FLAGS=(--asr-command "$ASR_COMMAND")
fi

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
