#!/usr/bin/env bash
# Streaming recognition: WER and latency. Variables: common.sh, simuleval.sh.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/simuleval.sh
source "$SCRIPT_DIR/simuleval.sh"

simultaneous streaming-asr asr src.txt
