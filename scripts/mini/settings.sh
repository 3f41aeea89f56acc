# shellcheck shell=bash disable=SC2034  # used by the scripts that source this file
# Everything that decides what the mini experiment gives. Each can be set from outside; RUNS is where all goes. Corpus,
# units, vocoder, weights and batches all follow from SEED. CORPUS_RUN is another run whose corpus and vocoder are taken:
# with another SEED and RUNS, models of a second seed on the same data.
SEED=${SEED:-1}
RUNS=${RUNS:-$ROOT/runs/mini}
CORPUS_RUN=${CORPUS_RUN:-$RUNS}

# Corpus: sentence pairs of each split, units, pieces of each vocabulary.
NUM_TRAIN=${NUM_TRAIN:-10000}
NUM_DEV=${NUM_DEV:-200}
NUM_TEST=${NUM_TEST:-200}
NUM_TEST_HARD=${NUM_TEST_HARD:-200}
NUM_UNITS=${NUM_UNITS:-1000}
DURATION_PENALTY=${DURATION_PENALTY:-1.0}
VOCAB_SIZE=${VOCAB_SIZE:-250}

# The vocoder's size is in vocoder.json.
VOCODER_FLAGS=(--preset mini --config "$MINI_DIR/vocoder.json" --max-updates "${VOCODER_UPDATES:-20000}")

# Both models: same data, size and budget. An update is BATCHES_PER_UPDATE batches of MAX_TOKENS fbank frames, shared by
# the processes of a training: two on a processor (NUM_GPUS), with the same batches as one. AVERAGE counts checkpoints.
# MAX_UPDATE is of recognition and text, UNIT_UPDATES of the unit side, which is trained after them in smaller batches.
ARCHS=${ARCHS:-echostream_mini streamspeech_mini}
MAX_UPDATE=${MAX_UPDATE:-10000}
UNIT_UPDATES=${UNIT_UPDATES:-20000}
MAX_TOKENS=${MAX_TOKENS:-3000}
UNIT_MAX_TOKENS=${UNIT_MAX_TOKENS:-1500}
BATCHES_PER_UPDATE=${BATCHES_PER_UPDATE:-2}
CTC_UPSAMPLE_RATE=${CTC_UPSAMPLE_RATE:-6}
CHECKPOINT_INTERVAL=${CHECKPOINT_INTERVAL:-250}
UNIT_CHECKPOINT_INTERVAL=${UNIT_CHECKPOINT_INTERVAL:-500}
AVERAGE=${AVERAGE:-8}

# The ablations' models are trained for so many updates, without units, and evaluated at these chunk sizes.
ABLATION_UPDATES=${ABLATION_UPDATES:-1500}
ABLATION_AVERAGE=${ABLATION_AVERAGE:-4}
ABLATION_CHUNK_SIZES_MS=${ABLATION_CHUNK_SIZES_MS:-160 320}

# Evaluation. ASR_MODEL recognises the output speech.
CHUNK_SIZES_MS=${CHUNK_SIZES_MS:-160 320 640 960 1280 2560}
HARD_CHUNK_SIZES_MS=${HARD_CHUNK_SIZES_MS:-320}
ASR_MODEL=${ASR_MODEL:-whisper}

# What the mini training changes in the paper's recipe (scripts/fr-en/training.sh); EXTRA_TRAIN_FLAGS are more flags of
# fairseq-train, for all models, and ABLATION_TRAIN_FLAGS for those of the ablations. Dropout of attention weights and
# hidden layers costs a fifth of the time on a processor, for its random numbers alone.
TRAINING_FLAGS=(
    --ctc-upsample-rate "$CTC_UPSAMPLE_RATE"
    --dropout 0.1 --mt-decoder-dropout 0.1 --attention-dropout 0 --relu-dropout 0
    --lr 0.003 --lr-scheduler cosine --warmup-updates 400 --clip-norm 10 --seed "$SEED"
    --validate-interval-updates 500 --validate-interval 1000 --save-interval-updates "$CHECKPOINT_INTERVAL"
    --keep-interval-updates "$AVERAGE" --no-epoch-checkpoints --keep-best-checkpoints -1
)
UNIT_TRAIN_FLAGS="--dropout 0 --save-interval-updates $UNIT_CHECKPOINT_INTERVAL"
read -ra extra_train_flags <<<"${EXTRA_TRAIN_FLAGS:-}"
TRAINING_FLAGS+=("${extra_train_flags[@]}")
ABLATION_TRAIN_FLAGS=${ABLATION_TRAIN_FLAGS:-}
