#!/usr/bin/env bash
# Trains the offline model, the upper bound. Variables: common.sh, training.sh.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/training.sh
source "$SCRIPT_DIR/training.sh"

case $ARCH in
    # An Emformer is offline when its segments are long: 128 encoder frames are 5.1 s.
    echostream*) LATENCY_FLAGS=(--segment-length 128 --segment-lengths 128) ;;
    streamspeech*) LATENCY_FLAGS=(--chunk-size 999999) ;;
esac
train offline-s2st "${LATENCY_FLAGS[@]}"
