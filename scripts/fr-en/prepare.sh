#!/usr/bin/env bash
# From CoVoST 2 and CVSS-C as downloaded to the folder that training and evaluation read (docs/data_fr_en.md).
# Usage: prepare.sh [--dry-run] [STEP …]. Steps, in their order: pairs features units vocabulary cmvn manifests lists;
# without any, all of them. What is done already is kept, so an interrupted run is simply started again.
#   DATA           corpus folder to make, which the other scripts read                                (required)
#   COVOST_ROOT    Common Voice 4 of the source language (clips/) with CoVoST 2's tables              (required)
#   CVSS_ROOT      CVSS-C of the source language, unpacked                                            (required)
#   HUBERT_PATH    mHuBERT checkpoint: mhubert_base_vp_en_es_fr_it3.pt                       (required for units)
#   KMEANS_PATH    k-means model: mhubert_base_vp_en_es_fr_it3_L11_km1000.bin, or npz        (required for units)
#   SRC_LANG       fr (default), es or de
#   HUBERT_LAYER   layer that the k-means model is for (default: 11)
#   SPM_SRC, SPM_TGT  sentencepiece models to use, each with its dictionary (.txt) beside it (default: trained)
#   VOCAB_SIZE     pieces of each side (default: 6000)
#   GCMVN          global mean and standard deviation to use (npz; default: those of the training clips)
#   SOURCE         fbank: features in zip archives (default); audio: manifests refer to the mp3 files
#   CTC_UPSAMPLE_RATE, MAX_UNITS  training utterances that do not fit are left out (default: 25 and 1200)
#   SKIP_UNUSABLE  1 leaves out pairs whose audio is missing or unreadable, instead of stopping (default: 0)
#   NUM_WORKERS    processes (default: one for each core; for units on cuda: 1)
#   SHARD, NUM_SHARDS  part of the steps features and units, from 0 (default: 0 and 1; see prepare.slurm.sh)
#   DEVICE         of the step units: cuda or cpu (default: cuda where there is one)
set -euo pipefail
[[ -n ${DATA:-} ]] || { echo "error: set DATA to the corpus folder to make, for example  DATA=… $0" >&2 && exit 1; }
[[ " $* " == *" --dry-run "* ]] || mkdir -p "$DATA"
# shellcheck source=scripts/fr-en/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ALL_STEPS=(pairs features units vocabulary cmvn manifests lists)
STEPS=("${EXTRA_ARGS[@]}")
((${#STEPS[@]})) || STEPS=("${ALL_STEPS[@]}")
need_path COVOST_ROOT "the folder of Common Voice 4 with clips/ and CoVoST 2's tables"
need_path CVSS_ROOT "the folder of CVSS-C with train/, dev/, test/ and their tables"

NUM_CORES=$(nproc)
CORPUS_FLAGS=(--covost-root "$COVOST_ROOT" --cvss-root "$CVSS_ROOT")
LANGUAGE_FLAGS=(--src-lang "${SRC_LANG:-fr}")
SHARD_FLAGS=(--shard "${SHARD:-0}" --num-shards "${NUM_SHARDS:-1}")
SIZE_FLAGS=(--vocab-size "${VOCAB_SIZE:-6000}")
SKIP_FLAGS=()
[[ ${SKIP_UNUSABLE:-0} == 1 ]] && SKIP_FLAGS=(--skip-unusable)

# prepare STEP FLAG …: runs one step.
prepare() {
    run python -m echostream.cvss.prepare "$1" --output "$DATA" "${@:2}"
}

units() {
    local workers=${NUM_WORKERS:-$NUM_CORES}
    need_path HUBERT_PATH "a fairseq checkpoint of mHuBERT"
    need_path KMEANS_PATH "a k-means model of mHuBERT's features"
    [[ $DEVICE == cuda ]] && workers=${NUM_WORKERS:-1}
    prepare units "${CORPUS_FLAGS[@]}" "${LANGUAGE_FLAGS[@]}" --hubert "$HUBERT_PATH" --kmeans "$KMEANS_PATH" \
        --layer "${HUBERT_LAYER:-11}" --device "$DEVICE" --num-workers "$workers" "${SHARD_FLAGS[@]}" \
        "${SKIP_FLAGS[@]}"
}

vocabulary() {
    local given=()
    [[ -n ${SPM_SRC:-} ]] && given+=(--spm-src "$SPM_SRC")
    [[ -n ${SPM_TGT:-} ]] && given+=(--spm-tgt "$SPM_TGT")
    prepare vocabulary "${LANGUAGE_FLAGS[@]}" "${SIZE_FLAGS[@]}" "${given[@]}"
}

for step in "${STEPS[@]}"; do
    case $step in
        pairs) prepare pairs "${CORPUS_FLAGS[@]}" "${LANGUAGE_FLAGS[@]}" "${SKIP_FLAGS[@]}" ;;
        features)
            prepare features "${CORPUS_FLAGS[@]}" "${LANGUAGE_FLAGS[@]}" --source "${SOURCE:-fbank}" \
                --num-workers "${NUM_WORKERS:-$NUM_CORES}" "${SHARD_FLAGS[@]}" "${SKIP_FLAGS[@]}"
            ;;
        units) units ;;
        vocabulary) vocabulary ;;
        cmvn)
            GIVEN=()
            [[ -n ${GCMVN:-} ]] && GIVEN=(--gcmvn "$GCMVN")
            prepare cmvn "${GIVEN[@]}"
            ;;
        manifests)
            prepare manifests "${LANGUAGE_FLAGS[@]}" "${SIZE_FLAGS[@]}" --configs "$ROOT/configs/fr-en" \
                --ctc-upsample-rate "${CTC_UPSAMPLE_RATE:-25}" --max-units "${MAX_UNITS:-1200}" "${SKIP_FLAGS[@]}"
            ;;
        lists) prepare lists "${CORPUS_FLAGS[@]}" "${LANGUAGE_FLAGS[@]}" ;;
        *) fail "there is no step '$step'; the steps are ${ALL_STEPS[*]}." ;;
    esac
done
