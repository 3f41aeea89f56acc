#!/usr/bin/env bash
# From nothing to a simultaneous translation that one can see and hear: sets up .venv, builds the smallest mini corpus,
# trains a small vocoder and the demo model until it reproduces a handful of sentences, and streams one of them through
# SimulEval. Finished steps are not repeated.
#   QUICKSTART  working folder (default: runs/quickstart); remove it to start afresh
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

ensure_system_packages
ensure_venv corpus
cd "$ROOT"

WORK=${QUICKSTART:-$ROOT/runs/quickstart}
DATA=$WORK/data
LOGS=$WORK/logs
mkdir -p "$LOGS"

# step NAME COMMAND …: runs a command with its output in a log file; shows the log's end if it fails.
step() {
    local name=$1 log started=$SECONDS
    log=$LOGS/$name.log
    shift
    if [[ -e $WORK/$name.done ]]; then
        say "$name: done before"
        return
    fi
    say "$name (log: $log)"
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "$name failed; the whole log is $log. Run this again to go on from here."
    fi
    touch "$WORK/$name.done"
    printf '   took %d s\n' $((SECONDS - started))
}

step corpus python -m echostream.corpus.mini --output "$DATA" \
    --train 8 --dev 2 --test 2 --test-hard 2 --seed 1
