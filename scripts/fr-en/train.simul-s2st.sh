#!/usr/bin/env bash
# Trains the simultaneous model: one model for all latencies. Variables: common.sh, training.sh.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/training.sh
source "$SCRIPT_DIR/training.sh"

case $ARCH in
    # echostream draws its segment length from segment_lengths in the YAML file.
    echostream*) LATENCY_FLAGS=(--uni-encoder) ;;
    streamspeech*) LATENCY_FLAGS=(--chunk-size 8 --multichunk --uni-encoder) ;;
esac
train simul-s2st "${LATENCY_FLAGS[@]}"
