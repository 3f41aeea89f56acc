#!/usr/bin/env bash
# Simultaneous speech-to-speech translation: speech, latency, ASR-BLEU, report. Variables: common.sh, simuleval.sh and
#   VOCODER, VOCODER_CFG  CodeHiFiGAN checkpoint and config   (required)
#   ASR_COMMAND           program that prints the transcript of {wav}; without it the report is of latencies only
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/simuleval.sh
source "$SCRIPT_DIR/simuleval.sh"

need_path VOCODER "a CodeHiFiGAN checkpoint"
need_path VOCODER_CFG "the CodeHiFiGAN's config.json"
if [[ -n ${ASR_COMMAND:-} ]]; then
    QUALITY_FLAGS=(--quality-metrics ASR_BLEU --target-speech-lang en --asr-command "$ASR_COMMAND")
else
    QUALITY_FLAGS=()
    REPORT_FLAGS=(--latency-only)
fi
simultaneous simul-s2st speech_to_speech target.txt \
    --vocoder "$VOCODER" --vocoder-cfg "$VOCODER_CFG" --dur-prediction --output-asr-translation True \
    "${QUALITY_FLAGS[@]}" \
    --latency-metrics AL AP DAL StartOffset EndOffset LAAL ATD NumChunks DiscontinuitySum DiscontinuityAve \
    DiscontinuityNum RTF
