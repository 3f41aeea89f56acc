#!/usr/bin/env bash
# The mini experiment: a synthetic French-English corpus with units, a vocoder, echostream and streamspeech of one size
# and budget, offline and simultaneous evaluation, one report. Settings: settings.sh.
# Usage: run.sh [--dry-run] [STAGE …]. Stages, in their order; without any, all of them but ablations and demo:
#   corpus         sentences, speech, units, vocabularies, manifests
#   vocoder        a CodeHiFiGAN for the units
#   ceiling        ASR-BLEU of the test set's target speech, and of its units through the vocoder
#   train average  each of ARCHS, and the mean of its last checkpoints
#   offline simul-s2st simul-s2tt streaming-asr   evaluation on test, at each of CHUNK_SIZES_MS
#   text-to-unit   units from reference text, and their error rate
#   hard           test_hard: offline, and simultaneous at HARD_CHUNK_SIZES_MS
#   audio          clicks, level, clipping and length of the output speech
#   report         both systems in one report
#   ablations      the encoder's settings, one changed at a time: ablations.sh
#   demo           the files of demo/, from the first of ARCHS
# What is finished is not done again, and an interrupted stage goes on where it was.
set -euo pipefail
MINI_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FR_EN=$MINI_DIR/../fr-en
# shellcheck source=scripts/environment.sh
source "$MINI_DIR/../environment.sh"
# shellcheck source=scripts/commands.sh
source "$MINI_DIR/../commands.sh"
# shellcheck source=scripts/mini/settings.sh
source "$MINI_DIR/settings.sh"
[[ -d $VENV ]] && PATH="$VENV/bin:$PATH"

DEFAULT_STAGES=(
    corpus vocoder ceiling train average offline simul-s2st simul-s2tt streaming-asr text-to-unit hard audio report
)
EXPERIMENT_STAGES=(train average offline simul-s2st simul-s2tt streaming-asr)
STAGES=("${EXTRA_ARGS[@]}")
((${#STAGES[@]})) || STAGES=("${DEFAULT_STAGES[@]}")
for stage in "${STAGES[@]}"; do
    [[ " ${DEFAULT_STAGES[*]} ablations demo " == *" $stage "* ]] ||
        fail "there is no stage '$stage'; the stages are ${DEFAULT_STAGES[*]} ablations demo."
done
DRY_RUN_FLAG=()
((DRY_RUN)) && DRY_RUN_FLAG=(--dry-run)

# What the fr-en scripts take from the environment.
export RUNS DATA=$RUNS/data CODE_SIZE=$NUM_UNITS DEVICE=${DEVICE:-cpu} ARCHS MAX_UPDATE MAX_TOKENS AVERAGE
export VOCODER=$RUNS/vocoder/checkpoint.pt VOCODER_CFG=$RUNS/vocoder/config.json ASR_MODEL CHUNK_SIZES_MS
export BATCHES_PER_UPDATE=${BATCHES_PER_UPDATE:-1} NUM_WORKERS=${NUM_WORKERS:-1} TRAIN_FLAGS="${TRAINING_FLAGS[*]}"
read -ra architectures <<<"$ARCHS"

# model_of ARCH: its averaged checkpoint, as experiment.sh names it.
model_of() { echo "$RUNS/$1.simul-s2st/average.last_$AVERAGE.update_$MAX_UPDATE.pt"; }

corpus() {
    run python -m echostream.corpus.mini --output "$DATA" --seed "$SEED" \
        --train "$NUM_TRAIN" --dev "$NUM_DEV" --test "$NUM_TEST" --test-hard "$NUM_TEST_HARD" \
        --num-units "$NUM_UNITS" --duration-penalty "$DURATION_PENALTY" --vocab-size "$VOCAB_SIZE" \
        --ctc-upsample-rate "$CTC_UPSAMPLE_RATE"
}

vocoder() {
    run python -m echostream.vocoder.training "${VOCODER_FLAGS[@]}" --num-embeddings "$NUM_UNITS" --seed "$SEED" \
        --train "$DATA/vocoder/train.jsonl" --dev "$DATA/vocoder/dev.jsonl" --output "$RUNS/vocoder" --device "$DEVICE"
}

# speech_score FOLDER FLAG …: ASR-BLEU of the test set's speech.
speech_score() {
    local folder=$1 command
    command=(
        python -m echostream.evaluation.offline_speech --manifest "$DATA/test.tsv" --output "$folder"
        --asr-model "$ASR_MODEL" "${@:2}"
    )
    finished "$folder/asr_bleu.json" "${command[@]}" || run "${command[@]}"
}

ceiling() {
    speech_score "$RUNS/ceiling/speech" --wavs "$DATA/audio/en/test" --wav-names '{id}.wav'
    speech_score "$RUNS/ceiling/units" --wavs "$RUNS/ceiling/units/wav" \
        --vocoder "$VOCODER" --vocoder-cfg "$VOCODER_CFG" --dur-prediction
}

experiment() { "$FR_EN/experiment.sh" "$1" "${DRY_RUN_FLAG[@]}"; }

text_to_unit() {
    local arch
    for arch in "${architectures[@]}"; do
        ARCH=$arch MODEL_PATH=$(model_of "$arch") VOCODER='' ASR_MODEL='' REPORT=0 OUTPUT=$RUNS/text-to-unit/$arch \
            "$FR_EN/pred.offline-s2st.sh" --force-reference-text "${DRY_RUN_FLAG[@]}"
    done
}

hard() {
    local arch script
    for arch in "${architectures[@]}"; do
        for script in pred.offline-s2st simuleval.simul-s2st simuleval.simul-s2tt simuleval.streaming-asr; do
            ARCH=$arch MODEL_PATH=$(model_of "$arch") RUNS=$RUNS/hard SPLIT=test_hard REPORT=0 \
                CHUNK_SIZES_MS=$HARD_CHUNK_SIZES_MS "$FR_EN/$script.sh" "${DRY_RUN_FLAG[@]}"
        done
    done
}

audio() {
    local arch folders=()
    for arch in "${architectures[@]}"; do
        for folder in "$RUNS/$arch.simul-s2st"/chunk_size=*; do folders+=("$folder"); done
    done
    run python -m echostream.evaluation.audio_checks --results "${folders[@]}" \
        --references "$DATA/simuleval/test/target_wav_list.txt" \
        --vocoder "$VOCODER" --vocoder-cfg "$VOCODER_CFG" --dur-prediction
}

report() {
    experiment report
    RUNS=$RUNS/hard "$FR_EN/report.sh" "${DRY_RUN_FLAG[@]}"
}

for stage in "${STAGES[@]}"; do
    say "$stage"
    if [[ " ${EXPERIMENT_STAGES[*]} " == *" $stage "* ]]; then experiment "$stage"; else "${stage//-/_}"; fi
done
