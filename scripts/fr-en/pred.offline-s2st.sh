#!/usr/bin/env bash
# Offline recognition, speech-to-text and speech-to-unit translation with fairseq-generate, scored with sacreBLEU.
#   MODEL_PATH     checkpoint                            (required)
#   SPLIT          manifest to translate (default: test)
#   BEAM           beam of the text decoder (default: 1)
#   OUTPUT         results (default: $RUNS/$ARCH.offline-s2st.generate): generate-$SPLIT.{asr,txt,unit}, scores.txt,
#                  report/report.md
#   VOCODER, VOCODER_CFG  CodeHiFiGAN checkpoint and config: where they are given, speech is made in OUTPUT/pred_wav
# With ASR_MODEL or ASR_COMMAND the speech is scored as well (asr_bleu.json).
# FORCE: commands.sh. REPORT: results.sh. The other variables: common.sh.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/results.sh
source "$SCRIPT_DIR/results.sh"

need_path MODEL_PATH "a checkpoint"
SPLIT=${SPLIT:-test}
OUTPUT=${OUTPUT:-$RUNS/$ARCH.offline-s2st.generate}
CPU_FLAG=()
[[ $DEVICE == cpu ]] && CPU_FLAG=(--cpu)
if [[ -n ${VOCODER:-} ]]; then
    need_path VOCODER_CFG "the CodeHiFiGAN's config.json"
elif ((${#ASR_FLAGS[@]})); then
    fail "ASR_MODEL or ASR_COMMAND scores speech, which VOCODER and VOCODER_CFG make: set them as well, or leave it out."
fi

generate=(
    fairseq-generate "$DATA" "${TASK_FLAGS[@]}" --path "$MODEL_PATH" --gen-subset "$SPLIT"
    --beam-mt "${BEAM:-1}" --beam 1 --max-len-a 1 --max-tokens 10000 --required-batch-size-multiple 1
    --results-path "$OUTPUT" "${CPU_FLAG[@]}" "${EXTRA_ARGS[@]}"
)
synthesise=(
    python -m echostream.vocoder.synthesis --units "$OUTPUT/generate-$SPLIT.unit" --output "$OUTPUT/pred_wav"
    --vocoder "${VOCODER:-}" --vocoder-cfg "${VOCODER_CFG:-}" --dur-prediction --device "$DEVICE"
)
score_speech=(
    python -m echostream.evaluation.offline_speech --manifest "$DATA/$SPLIT.tsv" --wavs "$OUTPUT/pred_wav"
    --output "$OUTPUT" "${ASR_FLAGS[@]}"
)

if ! finished "$OUTPUT/scores.txt" "${generate[@]}"; then
    run rm -rf "$OUTPUT/pred_wav" "$OUTPUT/pred_wav.done" "$OUTPUT/asr_bleu.json"
    run "${generate[@]}"
    run python -m echostream.evaluation.offline --manifest "$DATA/$SPLIT.tsv" --results "$OUTPUT" --split "$SPLIT"
fi
if [[ -n ${VOCODER:-} ]] && ! finished "$OUTPUT/pred_wav.done" "${synthesise[@]}"; then
    run rm -f "$OUTPUT/asr_bleu.json"
    run "${synthesise[@]}"
    run touch "$OUTPUT/pred_wav.done"
fi
if ((${#ASR_FLAGS[@]})) && ! finished "$OUTPUT/asr_bleu.json" "${score_speech[@]}"; then
    run "${score_speech[@]}"
fi
report "$OUTPUT/report" "$OUTPUT"
