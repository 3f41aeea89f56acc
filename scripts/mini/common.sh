# shellcheck shell=bash
# Sourced by run.sh and ablations.sh: the settings, and what the fr-en scripts take from the environment.

MINI_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # used by the scripts that source this file
FR_EN=$MINI_DIR/../fr-en
# shellcheck source=scripts/environment.sh
source "$MINI_DIR/../environment.sh"
# shellcheck source=scripts/commands.sh
source "$MINI_DIR/../commands.sh"
# shellcheck source=scripts/mini/settings.sh
source "$MINI_DIR/settings.sh"
[[ -d $VENV ]] && PATH="$VENV/bin:$PATH"

DRY_RUN_FLAG=()
# shellcheck disable=SC2034  # likewise
((DRY_RUN)) && DRY_RUN_FLAG=(--dry-run)

# Absolute, since files of the experiment name each other.
RUNS=$(realpath -ms "$RUNS")
CORPUS_RUN=$(realpath -ms "$CORPUS_RUN")
export RUNS DATA=$CORPUS_RUN/data CODE_SIZE=$NUM_UNITS DEVICE=${DEVICE:-cpu} ARCHS MAX_UPDATE UNIT_UPDATES AVERAGE
export VOCODER=$CORPUS_RUN/vocoder/checkpoint.pt VOCODER_CFG=$CORPUS_RUN/vocoder/config.json ASR_MODEL CHUNK_SIZES_MS
[[ $DEVICE == cpu ]] && export NUM_GPUS=${NUM_GPUS:-2}
export MAX_TOKENS UNIT_MAX_TOKENS BATCHES_PER_UPDATE NUM_WORKERS=${NUM_WORKERS:-1}
export TRAIN_FLAGS="${TRAINING_FLAGS[*]}" UNIT_TRAIN_FLAGS
