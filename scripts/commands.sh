# shellcheck shell=bash
# Sourced by the experiments' scripts, after environment.sh: how they run commands.
#   FORCE  1 runs again what was run already (default: 0)
# --dry-run prints the commands instead of running them; the other arguments are in EXTRA_ARGS.

DRY_RUN=0
EXTRA_ARGS=()
for argument in "$@"; do
    if [[ $argument == --dry-run ]]; then DRY_RUN=1; else EXTRA_ARGS+=("$argument"); fi
done

# need NAME WHAT: stops unless the variable NAME is set.
need() { [[ -n ${!1:-} ]] || fail "set $1 to $2, for example  $1=… $0"; }

# need_path NAME WHAT: stops unless the variable NAME holds a path that exists (not looked at in a dry run).
need_path() {
    need "$1" "$2"
    ((DRY_RUN)) || [[ -e ${!1} ]] || fail "$1 is '${!1}', which does not exist; it must be $2."
}

# run COMMAND …: prints the command, and runs it unless --dry-run was given.
run() {
    printf '%q ' "$@"
    printf '\n'
    ((DRY_RUN)) || "$@"
}

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
