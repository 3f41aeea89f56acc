#!/usr/bin/env bash
# Offline recognition, speech-to-text and speech-to-unit translation with fairseq-generate, scored with sacreBLEU.
#   MODEL_PATH     checkpoint                            (required)
#   SPLIT          manifest to translate (default: test)
#   BEAM           beam of the text decoder (default: 1)
#   OUTPUT         results (default: $RUNS/$ARCH.offline-s2st.generate): generate-$SPLIT.{asr,txt,unit}, scores.txt
#   VOCODER, VOCODER_CFG  CodeHiFiGAN checkpoint and config: where they are given, speech is made in OUTPUT/pred_wav
# The other variables: common.sh.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_path MODEL_PATH "a checkpoint"
SPLIT=${SPLIT:-test}
OUTPUT=${OUTPUT:-$RUNS/$ARCH.offline-s2st.generate}
CPU_FLAG=()
[[ $DEVICE == cpu ]] && CPU_FLAG=(--cpu)

run fairseq-generate "$DATA" "${TASK_FLAGS[@]}" --path "$MODEL_PATH" --gen-subset "$SPLIT" \
    --beam-mt "${BEAM:-1}" --beam 1 --max-len-a 1 --max-tokens 10000 --required-batch-size-multiple 1 \
    --results-path "$OUTPUT" "${CPU_FLAG[@]}" "${EXTRA_ARGS[@]}"
run python -m echostream.evaluation.offline --manifest "$DATA/$SPLIT.tsv" --results "$OUTPUT" --split "$SPLIT"
if [[ -n ${VOCODER:-} ]]; then
    need_path VOCODER_CFG "the CodeHiFiGAN's config.json"
    run python -m echostream.vocoder.synthesis --units "$OUTPUT/generate-$SPLIT.unit" --output "$OUTPUT/pred_wav" \
        --vocoder "$VOCODER" --vocoder-cfg "$VOCODER_CFG" --dur-prediction
fi
