#!/usr/bin/env bash
# Offline ASR, speech-to-text and speech-to-unit translation with fairseq-generate, scored with sacreBLEU; then speech.
#   MODEL_PATH     checkpoint                                                     (required)
#   SPLIT          manifest to translate (default: test)
#   BEAM           beam of the text decoder (default: 1)
#   OUTPUT         results (default: $RUNS/$ARCH.offline-s2st.generate)
#   VOCODER, VOCODER_CFG  CodeHiFiGAN checkpoint and config; without them no speech is made
# The other variables: common.sh.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_path MODEL_PATH "a checkpoint"
SPLIT=${SPLIT:-test}
OUTPUT=${OUTPUT:-$RUNS/$ARCH.offline-s2st.generate}
CPU_FLAG=()
[[ $DEVICE == cpu ]] && CPU_FLAG=(--cpu)

run mkdir -p "$OUTPUT"
run fairseq-generate "$DATA" "${TASK_FLAGS[@]}" --path "$MODEL_PATH" --gen-subset "$SPLIT" \
    --beam-mt "${BEAM:-1}" --beam 1 --max-len-a 1 --max-tokens 10000 --required-batch-size-multiple 1 \
    --results-path "$OUTPUT" "${CPU_FLAG[@]}" "${EXTRA_ARGS[@]}"
