#!/usr/bin/env bash
# The mini experiment: a synthetic French-English corpus with units, a vocoder, echostream and streamspeech of one size
# and budget, offline and simultaneous evaluation, one report. Settings: settings.sh; more: docs/mini_experiment.md.
# Usage: run.sh [--dry-run] [STAGE …]. Stages, in their order; without any, all of them but the last two:
#   corpus         sentences, speech, units, vocabularies, manifests
#   vocoder        a CodeHiFiGAN for the units
#   ceiling        ASR-BLEU of the test set's target speech, and of its units through the vocoder
#   train average  recognition and text of each of ARCHS, and the mean of its last checkpoints
#   units          their unit side, on that mean
#   offline simul-s2st simul-s2tt streaming-asr   evaluation on test, at each of CHUNK_SIZES_MS
#   text-to-unit   units from reference text, and their error rate
#   hard           test_hard: offline, simultaneous at HARD_CHUNK_SIZES_MS, and a report of these
#   audio          clicks, level, clipping and length of the output speech
#   report         both systems in one report
#   ablations      the encoder's settings, one changed at a time: ablations.sh
#   demo           packs the first of ARCHS, its vocoder and its scores into demo/, which is in the repository
# What is finished is not done again, and an interrupted stage goes on where it was.
set -euo pipefail
# shellcheck source=scripts/mini/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

DEFAULT_STAGES=(
    corpus vocoder ceiling train average units offline simul-s2st simul-s2tt streaming-asr text-to-unit hard audio report
)
ALL_STAGES=("${DEFAULT_STAGES[@]}" ablations demo)
CORPUS_STAGES=(corpus vocoder ceiling)
EXPERIMENT_STAGES=(train average units offline simul-s2st simul-s2tt streaming-asr)
STAGES=("${EXTRA_ARGS[@]}")
((${#STAGES[@]})) || STAGES=("${DEFAULT_STAGES[@]}")
for stage in "${STAGES[@]}"; do
    [[ " ${ALL_STAGES[*]} " == *" $stage "* ]] || fail "there is no stage '$stage'; the stages are ${ALL_STAGES[*]}."
done
read -ra architectures <<<"$ARCHS"

# model_of ARCH: its averaged checkpoint, as experiment.sh names it.
model_of() {
    local folder=$RUNS/$1.simul-s2st updates=$MAX_UPDATE
    ((!UNIT_UPDATES)) || folder=$RUNS/$1.units updates=$UNIT_UPDATES
    echo "$folder/average.last_$AVERAGE.update_$updates.pt"
}

# report_of FOLDER KIND …: one report of the results of these kinds in FOLDER, of each of ARCHS.
KINDS=(offline-s2st.generate simul-s2st simul-s2tt streaming-asr)
report_of() {
    local runs=$1 arch kind folders=()
    for arch in "${architectures[@]}"; do
        for kind in "${@:2}"; do folders+=("$runs/$arch.$kind"); done
    done
    run python -m echostream.evaluation.report "${folders[@]}" --output "$runs/report"
}

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
        ARCH=$arch MODEL_PATH=$(model_of "$arch") VOCODER='' ASR_MODEL='' REPORT=0 OUTPUT=$RUNS/$arch.text-to-unit \
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
    report_of "$RUNS/hard" "${KINDS[@]}"
}

audio() {
    local arch chunk_size_ms folder command
    for arch in "${architectures[@]}"; do
        for chunk_size_ms in $CHUNK_SIZES_MS; do
            folder=$RUNS/$arch.simul-s2st/chunk_size=$chunk_size_ms
            command=(
                python -m echostream.evaluation.audio_checks --results "$folder"
                --references "$DATA/simuleval/test/target_wav_list.txt"
                --vocoder "$VOCODER" --vocoder-cfg "$VOCODER_CFG" --dur-prediction
            )
            finished "$folder/audio_checks.json" "${command[@]}" || run "${command[@]}"
        done
    done
}

report() { report_of "$RUNS" "${KINDS[@]}" text-to-unit; }

demo() {
    local arch=${architectures[0]} results=("$RUNS/ceiling/speech" "$RUNS/ceiling/units") kind
    for kind in "${KINDS[@]}"; do
        results+=("$RUNS/$arch.$kind" "$RUNS/hard/$arch.$kind")
    done
    run python -m echostream.release --model "$(model_of "$arch")" --data "$DATA" \
        --vocoder "$VOCODER" --vocoder-cfg "$VOCODER_CFG" --output "$ROOT/demo" \
        --results "${results[@]}" "$RUNS/$arch.text-to-unit"
}

ablations() { "$MINI_DIR/ablations.sh" "${DRY_RUN_FLAG[@]}"; }

for stage in "${STAGES[@]}"; do
    started=$SECONDS
    say "$stage"
    if [[ $CORPUS_RUN != "$RUNS" && " ${CORPUS_STAGES[*]} " == *" $stage "* ]]; then
        echo "   is that of $CORPUS_RUN"
        continue
    elif [[ " ${EXPERIMENT_STAGES[*]} " == *" $stage "* ]]; then
        experiment "$stage"
    else
        "${stage//-/_}"
    fi
    ((DRY_RUN)) || echo "   $stage took $((SECONDS - started)) s"
done
