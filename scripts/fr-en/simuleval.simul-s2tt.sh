#!/usr/bin/env bash
# Simultaneous speech-to-text translation: BLEU, chrF and latency. Variables: common.sh, simuleval.sh.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/simuleval.sh
source "$SCRIPT_DIR/simuleval.sh"

simultaneous simul-s2tt s2tt target.txt
