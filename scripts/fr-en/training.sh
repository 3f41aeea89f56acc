# shellcheck shell=bash
# Sourced by the training scripts: the hyper-parameters of the StreamSpeech paper (section 4 and appendix D) and how
# training is spread over devices. The same command, started again, goes on from the last checkpoint; docs/training.md.
#   SAVE_DIR     checkpoints (default: $RUNS/$ARCH.<script>)
#   PRECISION    fp16, bf16 or fp32 (default: fp16 on cuda, fp32 on cpu)
#   NUM_GPUS     GPUs of a node, or processes with DEVICE=cpu (default: all visible GPUs; one process)
#   NUM_NODES    nodes; the script runs once on each (default: 1; train.slurm.sh is an example)
#   MASTER       host:port of the first node                                          (required with several nodes)
#   MAX_TOKENS   fbank frames a batch (default: 22000)
#   BATCHES_PER_UPDATE  batches an update, over all devices (default: 8); --update-freq follows from it
#   TENSORBOARD  folder for TensorBoard's logs (default: none are written)
#   NUM_WORKERS  data loading processes of each device (default: 8)

PRECISION=${PRECISION:-$([[ $DEVICE == cuda ]] && echo fp16 || echo fp32)}
case $PRECISION in
    fp16 | bf16) PRECISION_FLAGS=("--$PRECISION") ;;
    fp32) PRECISION_FLAGS=() ;;
    *) fail "PRECISION is '$PRECISION'; it must be fp16, bf16 or fp32." ;;
esac
if [[ $DEVICE == cpu ]]; then
    [[ $PRECISION == fp16 ]] && fail "fairseq trains with fp16 on GPUs only: set PRECISION to bf16 or fp32."
    PRECISION_FLAGS+=(--cpu)
fi

# visible_gpus: how many GPUs this node offers.
visible_gpus() {
    local visible
    if [[ -n ${CUDA_VISIBLE_DEVICES:-} ]]; then
        IFS=, read -ra visible <<<"$CUDA_VISIBLE_DEVICES"
        echo "${#visible[@]}"
    else
        nvidia-smi --list-gpus | wc -l
    fi
}

# need_number NAME: stops unless the variable NAME holds a positive whole number.
need_number() {
    [[ ${!1} =~ ^[1-9][0-9]*$ ]] || fail "$1 is '${!1}'; it must be a positive whole number."
}

NUM_NODES=${NUM_NODES:-1}
if [[ -z ${NUM_GPUS:-} ]]; then
    if [[ $DEVICE == cuda ]]; then NUM_GPUS=$(visible_gpus); else NUM_GPUS=1; fi
fi
MAX_TOKENS=${MAX_TOKENS:-22000}
BATCHES_PER_UPDATE=${BATCHES_PER_UPDATE:-8}
for name in NUM_NODES NUM_GPUS MAX_TOKENS BATCHES_PER_UPDATE; do need_number "$name"; done
if [[ $DEVICE == cuda ]] && ((!DRY_RUN)) && ((NUM_GPUS > $(visible_gpus))); then
    fail "NUM_GPUS is $NUM_GPUS, but $(visible_gpus) are visible here."
fi
WORLD_SIZE=$((NUM_NODES * NUM_GPUS))
if ((BATCHES_PER_UPDATE % WORLD_SIZE)); then
    fail "BATCHES_PER_UPDATE is $BATCHES_PER_UPDATE, which $WORLD_SIZE devices cannot share equally. To keep" \
        "$((MAX_TOKENS * BATCHES_PER_UPDATE)) frames an update, set it to a multiple of $WORLD_SIZE and change MAX_TOKENS."
fi
for argument in "${EXTRA_ARGS[@]}"; do
    case $argument in
        --update-freq* | --max-tokens | --max-tokens=* | --distributed-*)
            fail "${argument%%=*} follows from NUM_GPUS, NUM_NODES, MAX_TOKENS and BATCHES_PER_UPDATE: set those." ;;
    esac
done

# How fairseq-train is started: alone, or once for each device by torchrun, which joins the nodes at MASTER.
LAUNCH=()
if ((NUM_NODES > 1)); then
    [[ ${MASTER:-} == *:* ]] || fail "set MASTER to host:port of the first node, the same on all nodes."
    LAUNCH=(torchrun --nnodes "$NUM_NODES" --nproc-per-node "$NUM_GPUS"
        --rdzv-backend c10d --rdzv-endpoint "$MASTER" --rdzv-id "${SLURM_JOB_ID:-echostream}" --no-python)
elif ((NUM_GPUS > 1)); then
    LAUNCH=(torchrun --standalone --nproc-per-node "$NUM_GPUS" --no-python)
fi
TENSORBOARD_FLAGS=()
if [[ -n ${TENSORBOARD:-} ]]; then
    ((DRY_RUN)) || python -c 'import tensorboard' 2>/dev/null ||
        fail "TENSORBOARD is set, but tensorboard is not installed. Run:  python -m pip install tensorboard"
    TENSORBOARD_FLAGS=(--tensorboard-logdir "$TENSORBOARD")
fi

# The presets *_mini bring their own sizes; echostream's encoder is described in the YAML file.
case $ARCH in
    streamspeech)
        ENCODER_FLAGS=(
            --encoder-layers 12 --encoder-embed-dim 256 --encoder-ffn-embed-dim 2048 --encoder-attention-heads 4
            --attn-type espnet --pos-enc-type rel_pos
        )
        ;;
    *) ENCODER_FLAGS=() ;;
esac
case $ARCH in
    *_mini) DECODER_FLAGS=() ;;
    *)
        DECODER_FLAGS=(
            --translation-decoder-layers 4 --synthesizer-encoder-layers 2
            --decoder-layers 2 --decoder-embed-dim 512 --decoder-ffn-embed-dim 2048 --decoder-attention-heads 8
            --ctc-upsample-rate 25
            --dropout 0.1 --attention-dropout 0.1 --relu-dropout 0.1
        )
        ;;
esac
OPTIMISATION_FLAGS=(
    --criterion speech_to_unit_2pass_ctc_asr_st --label-smoothing 0.1 --rdrop-alpha 0.0
    --share-decoder-input-output-embed
    --k1 0 --k2 0 --n1 1 --n2 -1
    --optimizer adam --adam-betas '(0.9,0.98)' --clip-norm 1.0
    --lr 0.001 --lr-scheduler inverse_sqrt --warmup-init-lr 1e-7 --warmup-updates 10000
    --max-tokens "$MAX_TOKENS" --max-target-positions 1200
    --distributed-world-size "$WORLD_SIZE" --update-freq $((BATCHES_PER_UPDATE / WORLD_SIZE))
    --required-batch-size-multiple 1
    --train-subset train --valid-subset dev
    --validate-interval 1000 --validate-interval-updates 1000 --save-interval 1 --save-interval-updates 1000
    --keep-last-epochs 15 --keep-interval-updates 40 --keep-best-checkpoints 20
    --no-progress-bar --log-format json --log-interval 100
    --seed 1 --num-workers "${NUM_WORKERS:-8}"
    "${PRECISION_FLAGS[@]}" "${TENSORBOARD_FLAGS[@]}"
)

# train NAME FLAG …: trains ARCH with the flags of this experiment; what it prints is kept in train.log too.
train() {
    local save_dir=${SAVE_DIR:-$RUNS/$ARCH.$1} log=/dev/null
    shift
    if ((!DRY_RUN)); then
        mkdir -p "$save_dir"
        log=$save_dir/train.log
    fi
    run "${LAUNCH[@]}" fairseq-train "$DATA" "${TASK_FLAGS[@]}" --arch "$ARCH" "${ENCODER_FLAGS[@]}" "${DECODER_FLAGS[@]}" "$@" \
        "${OPTIMISATION_FLAGS[@]}" --save-dir "$save_dir" "${EXTRA_ARGS[@]}" 2>&1 | tee -a "$log"
}
