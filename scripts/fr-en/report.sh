#!/usr/bin/env bash
# The report of several systems side by side, from result folders of the evaluation scripts. Variables: common.sh and
#   RESULTS  result folders, separated by spaces (default: all in $RUNS)
#   OUTPUT   the report's folder (default: $RUNS/report)
# LATENCY, CVSS_C: results.sh. DATA is not needed. Further arguments, such as --names A B, go to the report.
set -euo pipefail
DATA=${DATA:-/} # common.sh asks for it; the report reads results only
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/results.sh
source "$SCRIPT_DIR/results.sh"

folders=()
if [[ -n ${RESULTS:-} ]]; then
    read -ra folders <<<"$RESULTS"
else
    for folder in "$RUNS"/*/; do
        if compgen -G "$folder/chunk_size=*" >/dev/null || [[ -e $folder/scores.txt ]]; then folders+=("${folder%/}"); fi
    done
    ((${#folders[@]})) || fail "$RUNS holds no results; run an evaluation script first, or set RESULTS to result folders."
fi
REPORT=1 REPORT_FLAGS=("${EXTRA_ARGS[@]}")
report "${OUTPUT:-$RUNS/report}" "${folders[@]}"
