#!/usr/bin/env bash
# From nothing to a simultaneous translation that one can see and hear: sets up .venv, and streams sample sentences
# through SimulEval with the trained model of demo/.
#   QUICKSTART  folder for the results (default: runs/quickstart)
#   SENTENCES   how many of the sample sentences to translate (default: 3)
#   CHUNK_MS    speech between two decisions, a multiple of 40 ms (default: 320)
#   ASR_MODEL   recogniser behind ASR_BLEU (default: pocketsphinx, a light one; whisper needs the extra asr)
#   DEMO        folder of the model: demo/, or another one made by python -m echostream.release
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

DEMO=$(realpath --canonicalize-missing "${DEMO:-$ROOT/demo}")
RESULTS=$(realpath --canonicalize-missing "${QUICKSTART:-$ROOT/runs/quickstart}")
SENTENCES=${SENTENCES:-3}
CHUNK_MS=${CHUNK_MS:-320}
SAMPLES=$DEMO/samples

check_demo() {
    local again="get the folder again; in a clone of the repository: git checkout -- demo"
    [[ -f $DEMO/SHA256SUMS ]] || fail "$DEMO holds no demo model (no SHA256SUMS): $again"
    (cd "$DEMO" && sha256sum --check --quiet --strict SHA256SUMS) ||
        fail "the files of $DEMO named above are missing or damaged: $again"
}

translate() {
    local log=$RESULTS/simuleval.log command
    command=(
        echostream-eval --task s2st --model-path "$DEMO/model.pt" --data-bin "$DEMO" --dur-prediction
        --source "$SAMPLES/wav_list.txt" --target "$SAMPLES/target.txt" --end-index "$SENTENCES"
        --source-segment-size "$CHUNK_MS" --output-asr-translation table --no-progress-bar
        --asr-model "${ASR_MODEL:-pocketsphinx}" --output "$RESULTS"
    )
    rm -rf "$RESULTS/wavs" "$RESULTS/wavs_no_silence"
    mkdir -p "$RESULTS"
    printf '%q ' "${command[@]}" >"$RESULTS/command.txt"
    # SimulEval ends with its scores in one line of many columns: show_scores has a shorter table.
    if ! "${command[@]}" 2>"$log" | sed --unbuffered '/ASR_BLEU.*StartOffset/,$d'; then
        tail -n 5 "$log" >&2
        fail "echostream-eval failed; its messages are in $log"
    fi
}

# One line for each of the scores that are explained here; times in ms, the second as they were on this machine.
show_scores() {
    awk -F '\t' '
        NR == 1 { split($0, name) }
        NR == 2 { for (i in name) value[name[i]] = $i }
        END {
            printf "   %-14s %9s %9s\n", "", "ideal", "computed"
            row("ASR_BLEU", "speech, as a recogniser understands it, against the reference text (0 to 100)")
            row("StartOffset", "ms of source before the translation begins")
            row("EndOffset", "ms from the end of the source to that of the translation")
            row("AL", "ms that the translation is behind its source, on average")
            row("ProcessingRTF", "seconds of computing for a second of source: below 1 keeps up")
        }
        function row(metric, meaning) {
            printf "   %-14s %9s %9s   %s\n", metric, value[metric], value[metric "_CA"], meaning
        }' "$RESULTS/scores.tsv"
}

line() { sed -n "$1p" "$2"; }

show_sentences() {
    local number
    for ((number = 1; number <= SENTENCES; number++)); do
        ((number == 1)) || echo
        printf '   %-11s %s\n' "sentence $number" "$(line "$number" "$SAMPLES/src.txt")" \
            reference "$(line "$number" "$SAMPLES/target.txt")" translated "$(line "$number" "$RESULTS/st.txt")" \
            heard "$SAMPLES/$(line "$number" "$SAMPLES/wav_list.txt")" spoken "$RESULTS/wavs/$((number - 1))_pred.wav"
    done
}

check_demo
NUM_SAMPLES=$(wc -l <"$SAMPLES/wav_list.txt")
if [[ ! $SENTENCES =~ ^[1-9][0-9]*$ ]] || ((SENTENCES > NUM_SAMPLES)); then
    fail "SENTENCES is '$SENTENCES'; it must be a number from 1 to $NUM_SAMPLES."
fi
unset 'SYSTEM_PACKAGES[espeak-ng]' 'SYSTEM_PACKAGES[flite]' # these speak a corpus for training
ensure_system_packages
ensure_venv
say "simultaneous translation, a decision after every $CHUNK_MS ms of speech: new words as they come"
translate
say "what was said"
show_sentences
say "scores"
show_scores
python -m echostream.evaluation.timeline --results "$RESULTS" --output "$RESULTS/timeline.png" \
    >"$RESULTS/timeline.log" 2>&1 || fail "no timeline could be drawn: $(tail -n 1 "$RESULTS/timeline.log")"
say "sentence 1 over time: $RESULTS/timeline.png
== all scores: $RESULTS/scores.tsv; the command: $RESULTS/command.txt"
