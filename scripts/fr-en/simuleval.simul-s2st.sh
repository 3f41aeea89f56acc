#!/usr/bin/env bash
# Simultaneous speech-to-speech translation: speech, latency, ASR-BLEU, report. Variables: common.sh, simuleval.sh and
#   VOCODER, VOCODER_CFG  CodeHiFiGAN checkpoint and config   (required)
# Without ASR_MODEL and ASR_COMMAND the report is of latencies only.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/simuleval.sh
source "$SCRIPT_DIR/simuleval.sh"

need_path VOCODER "a CodeHiFiGAN checkpoint"
need_path VOCODER_CFG "the CodeHiFiGAN's config.json"
if ((${#ASR_FLAGS[@]})); then
    QUALITY_FLAGS=(--target-speech-lang en "${ASR_FLAGS[@]}")
else
    QUALITY_FLAGS=(--quality-metrics)
    REPORT_FLAGS=(--latency-only)
fi
simultaneous simul-s2st s2st target.txt \
    --vocoder "$VOCODER" --vocoder-cfg "$VOCODER_CFG" --dur-prediction "${QUALITY_FLAGS[@]}"
