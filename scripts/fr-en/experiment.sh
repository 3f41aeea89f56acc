#!/usr/bin/env bash
# The whole experiment on a corpus that prepare.sh made: training, average of checkpoints, evaluation, one report.
# Usage: experiment.sh [--dry-run] [STAGE …]. Stages, in their order: train average units offline simul-s2st simul-s2tt
# streaming-asr report; without any, all of them. What is finished is not done again, and an interrupted training goes
# on where it was: an interrupted experiment is simply started again.
#   DATA           corpus folder                                                                       (required)
#   VOCODER, VOCODER_CFG  CodeHiFiGAN checkpoint and config      (required for simul-s2st; without, offline is of text)
#   ARCHS          architectures, side by side in the report (default: $ARCH)
#   MAX_UPDATE     updates of the training (default: 50000)
#   UNIT_UPDATES   train in two steps: recognition and text for MAX_UPDATE updates, then, in the stage units, the unit side
#                  alone for so many, on their average (default: 0, all in one). UNIT_MAX_TOKENS and UNIT_TRAIN_FLAGS are
#                  its own MAX_TOKENS and further flags (default: none)
#   TRAIN_FLAGS    more flags of fairseq-train (default: none)
#   AVERAGE        how many of the last update checkpoints to average (default: 5)
#   ASR_MODEL or ASR_COMMAND  recogniser (results.sh); without, a report with simul-s2st in it is one of latencies only,
#                  for all stages
#   OUTPUT         the report's folder (default: $RUNS/report)
# Checkpoints and train.log are in $RUNS/ARCH.simul-s2st (and $RUNS/ARCH.units), results there and in
# $RUNS/ARCH.offline-s2st.generate and so on.
# The variables of common.sh, training.sh, simuleval.sh and results.sh hold too, but for SAVE_DIR and MODEL_PATH.
set -euo pipefail
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=scripts/fr-en/results.sh
source "$SCRIPT_DIR/results.sh"

ALL_STAGES=(train average units offline simul-s2st simul-s2tt streaming-asr report)
STAGES=("${EXTRA_ARGS[@]}")
((${#STAGES[@]})) || STAGES=("${ALL_STAGES[@]}")
for stage in "${STAGES[@]}"; do
    [[ " ${ALL_STAGES[*]} " == *" $stage "* ]] || fail "there is no stage '$stage'; the stages are ${ALL_STAGES[*]}."
done
read -ra architectures <<<"${ARCHS:-$ARCH}"
read -ra train_flags <<<"${TRAIN_FLAGS:-}"
MAX_UPDATE=${MAX_UPDATE:-50000}
UNIT_UPDATES=${UNIT_UPDATES:-0}
AVERAGE=${AVERAGE:-5}
DRY_RUN_FLAG=()
((DRY_RUN)) && DRY_RUN_FLAG=(--dry-run)

# chosen STAGE: whether the stage is to be run.
chosen() { [[ " ${STAGES[*]} " == *" $1 "* ]]; }

# script NAME FLAG …: runs a script of this folder. OUTPUT, the report's folder here, is something else there.
script() { env -u OUTPUT REPORT=0 "$SCRIPT_DIR/$1" "${@:2}" "${DRY_RUN_FLAG[@]}"; }

# train UPDATES FLAG …: started again after its last update, fairseq-train makes one more: so the end is noted down.
train() {
    local flags=(--max-update "$1" "${train_flags[@]}" "${@:2}")
    finished "$SAVE_DIR/trained.done" "train.simul-s2st.sh" "${flags[@]}" && return
    script train.simul-s2st.sh "${flags[@]}"
    run touch "$SAVE_DIR/trained.done"
}

# average UPDATES: makes MODEL_PATH.
average() {
    local part=$SAVE_DIR/average.part command
    command=(
        python -m echostream.checkpoint_averaging --inputs "$SAVE_DIR" --output "$part"
        --num-update-checkpoints "$AVERAGE" --checkpoint-upper-bound "$1"
    )
    finished "$MODEL_PATH" "${command[@]}" && return
    run "${command[@]}"
    run mv "$part" "$MODEL_PATH"
}

# results_of ARCH: its result folders, those that are there and those of the chosen stages.
results_of() {
    local stage folder
    for stage in offline simul-s2st simul-s2tt streaming-asr; do
        folder=$RUNS/$1.${stage/#offline/offline-s2st.generate}
        if chosen "$stage" || [[ -e $folder/scores.txt ]] || compgen -G "$folder/chunk_size=*" >/dev/null; then
            printf '%s\n' "$folder"
        fi
    done
}

side=()
((UNIT_UPDATES)) && side=(--train-side text)
for ARCH in "${architectures[@]}"; do
    # A model is named by what it is the average of: the scores of one are never taken for those of another.
    export ARCH SAVE_DIR=$RUNS/$ARCH.simul-s2st
    export MODEL_PATH=$SAVE_DIR/average.last_$AVERAGE.update_$MAX_UPDATE.pt
    if chosen train; then train "$MAX_UPDATE" "${side[@]}"; fi
    if chosen average; then average "$MAX_UPDATE"; fi
    if ((UNIT_UPDATES)); then
        text_model=$MODEL_PATH
        SAVE_DIR=$RUNS/$ARCH.units
        MODEL_PATH=$SAVE_DIR/average.last_$AVERAGE.update_$UNIT_UPDATES.pt
        if chosen units; then
            read -ra unit_flags <<<"${UNIT_TRAIN_FLAGS:-}"
            [[ -e $text_model ]] || ((DRY_RUN)) || fail "$text_model is missing: run the stages train and average first."
            MAX_TOKENS=${UNIT_MAX_TOKENS:-${MAX_TOKENS:-}} \
                train "$UNIT_UPDATES" --train-side units --finetune-from-model "$text_model" "${unit_flags[@]}"
            average "$UNIT_UPDATES"
        fi
    elif chosen units; then
        echo "units: trained with the rest, since UNIT_UPDATES is 0" >&2
    fi
    if chosen offline; then script pred.offline-s2st.sh; fi
    for stage in simul-s2st simul-s2tt streaming-asr; do
        if chosen "$stage"; then script "simuleval.$stage.sh"; fi
    done
done
if chosen report; then
    mapfile -t folders < <(for arch in "${architectures[@]}"; do results_of "$arch"; done)
    ((${#folders[@]})) || fail "$RUNS holds no results of ${architectures[*]}: run the other stages first."
    if [[ ${#ASR_FLAGS[@]} == 0 && " ${folders[*]} " == *".simul-s2st "* ]]; then REPORT_FLAGS=(--latency-only); fi
    REPORT=1 report "${OUTPUT:-$RUNS/report}" "${folders[@]}"
fi
