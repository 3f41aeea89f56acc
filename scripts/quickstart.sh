#!/usr/bin/env bash
# From nothing to a simultaneous translation that one can see and hear: sets up .venv, builds the smallest mini corpus,
# trains a small vocoder and the demo model until it reproduces a handful of sentences, and streams one of them through
# SimulEval. Finished steps are not repeated; an interrupted training goes on where it was.
#   QUICKSTART  working folder (default: runs/quickstart); remove it to start afresh
#   SENTENCE    which of the sentences to stream, 0 to 7 (default: 0)
#   UPDATES, VOCODER_UPDATES  how long the demo model and the vocoder are trained (default: 300 and 800)
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

ensure_system_packages
ensure_venv
cd "$ROOT"

WORK=${QUICKSTART:-$ROOT/runs/quickstart}
SENTENCE=${SENTENCE:-0}
DATA=$WORK/data
MODEL=$WORK/model/checkpoint_last.pt
NUM_UNITS=100
mkdir -p "$WORK"

# step NAME MINUTES COMMAND …: runs a command once, its output in a log file; shows the end of that if it fails.
step() {
    local name=$1 minutes=$2 log=$WORK/$1.log started=$SECONDS
    shift 2
    if [[ -e $WORK/$name.done ]]; then
        say "$name: done before"
        return
    fi
    say "$name: about $minutes min on two cores (log: $log)"
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "$name failed; its whole output is in $log. Run this again to go on from here."
    fi
    touch "$WORK/$name.done"
    echo "   took $((SECONDS - started)) s"
}

TASK_FLAGS=(
    --user-dir echostream --task speech_to_speech_ctc --target-is-code --target-code-size "$NUM_UNITS"
    --config-yaml config_echostream.yaml --multitask-config-yaml config_mtl_asr_st_ctcst.yaml --vocoder code_hifigan
)

train_model() {
    fairseq-train "$DATA" "${TASK_FLAGS[@]}" --arch echostream_mini --cpu \
        --criterion speech_to_unit_2pass_ctc_asr_st --k1 0 --n1 1 --k2 0 --n2 -1 \
        --dropout 0 --attention-dropout 0 --relu-dropout 0 --mt-decoder-dropout 0 --segment-lengths 4,8,16 \
        --optimizer adam --adam-betas '(0.9,0.98)' --clip-norm 10 \
        --lr 0.002 --lr-scheduler inverse_sqrt --warmup-updates 100 --warmup-init-lr 1e-7 \
        --max-tokens 20000 --max-update "${UPDATES:-300}" --seed 1 --num-workers 0 \
        --save-dir "$WORK/model" --no-epoch-checkpoints --save-interval 100 --disable-validation \
        --log-format simple --log-interval 25
}

# The model has learned its sentences when it says them all again; what it says is in generate-train.{asr,txt,unit}.
check_model() {
    fairseq-generate "$DATA" "${TASK_FLAGS[@]}" --path "$MODEL" --gen-subset train --gen-chunk-size 8 --cpu \
        --max-tokens 20000 --results-path "$WORK/train"
    python -m echostream.evaluation.offline --manifest "$DATA/train.tsv" --results "$WORK/train" --split train
}

simultaneous() {
    simuleval --agent agent/speech_to_speech.echostream.agent.py --model-path "$MODEL" --data-bin "$DATA" \
        --config-yaml config_echostream.yaml --multitask-config-yaml config_mtl_asr_st_ctcst.yaml \
        --vocoder "$WORK/vocoder/checkpoint.pt" --vocoder-cfg "$WORK/vocoder/config.json" --dur-prediction \
        --source "$DATA/simuleval/train/wav_list.txt" --target "$DATA/simuleval/train/target.txt" \
        --start-index "$SENTENCE" --end-index $((SENTENCE + 1)) --source-segment-size 320 \
        --latency-metrics StartOffset EndOffset AL LAAL ATD RTF --computation-aware \
        --quality-metrics ASR_BLEU --asr-model pocketsphinx \
        --output-asr-translation True --no-progress-bar --output "$WORK/results"
}

step corpus 0.5 python -m echostream.corpus.mini --output "$DATA" --train 8 --dev 2 --test 2 --test-hard 2 \
    --num-units "$NUM_UNITS" --seed 1
step vocoder 3 python -m echostream.vocoder.training --preset mini --num-embeddings "$NUM_UNITS" \
    --train "$DATA/vocoder/train.jsonl" --dev "$DATA/vocoder/dev.jsonl" --output "$WORK/vocoder" \
    --max-updates "${VOCODER_UPDATES:-800}"
step training 2.5 train_model
step check 0.5 check_model
say "what the model has learned of its 8 sentences, whole sentences heard"
cut -f 1-3 "$WORK/train/scores.txt" | sed 's/^/   /'

say "simultaneous translation of sentence $SENTENCE, in chunks of 320 ms"
echo "   spoken:    $(sed -n "$((SENTENCE + 1))p" "$DATA/simuleval/train/src.txt")"
echo "   reference: $(sed -n "$((SENTENCE + 1))p" "$DATA/simuleval/train/target.txt")"
simultaneous 2>"$WORK/simultaneous.log" || fail "SimulEval failed; its output is in $WORK/simultaneous.log"
say "heard:      $(sed -n "$((SENTENCE + 1))p" "$DATA/simuleval/train/wav_list.txt")
== translated: $(ls "$WORK"/results/wavs/*.wav)
== all scores: $WORK/results/scores.tsv (latencies in ms; _CA: with computation time; ASR_BLEU by a light recogniser)"
