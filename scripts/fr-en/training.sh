# shellcheck shell=bash
# Sourced by the training scripts: the hyper-parameters of the StreamSpeech paper (section 4 and appendix D).
#   SAVE_DIR     checkpoints (default: $RUNS/$ARCH.<script>)
#   PRECISION    fp16, bf16 or fp32 (default: fp16 on cuda, fp32 on cpu)
#   MAX_TOKENS   fbank frames a batch and device (default: 22000);  UPDATE_FREQ batches an update (default: 2)
#   NUM_WORKERS  data loading processes (default: 8)

PRECISION=${PRECISION:-$([[ $DEVICE == cuda ]] && echo fp16 || echo fp32)}
case $PRECISION in
    fp16 | bf16) PRECISION_FLAGS=("--$PRECISION") ;;
    fp32) PRECISION_FLAGS=() ;;
    *) fail "PRECISION is '$PRECISION'; it must be fp16, bf16 or fp32." ;;
esac
[[ $DEVICE == cpu ]] && PRECISION_FLAGS+=(--cpu)

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
    --max-tokens "${MAX_TOKENS:-22000}" --max-target-positions 1200 --update-freq "${UPDATE_FREQ:-2}"
    --required-batch-size-multiple 1
    --train-subset train --valid-subset dev
    --validate-interval 1000 --validate-interval-updates 1000 --save-interval 1 --save-interval-updates 1000
    --keep-last-epochs 15 --keep-interval-updates 40 --keep-best-checkpoints 20
    --no-progress-bar --log-format json --log-interval 100
    --seed 1 --num-workers "${NUM_WORKERS:-8}"
    "${PRECISION_FLAGS[@]}"
)

# train NAME FLAG …: trains ARCH with the flags of this experiment.
train() {
    local name=$1
    shift
    run fairseq-train "$DATA" "${TASK_FLAGS[@]}" --arch "$ARCH" "${ENCODER_FLAGS[@]}" "${DECODER_FLAGS[@]}" "$@" \
        "${OPTIMISATION_FLAGS[@]}" --save-dir "${SAVE_DIR:-$RUNS/$ARCH.$name}" "${EXTRA_ARGS[@]}"
}
