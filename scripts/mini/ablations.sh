#!/usr/bin/env bash
# What each setting of the encoder does: echostream_mini with one setting changed at a time, all trained for
# ABLATION_UPDATES with one seed, and their text evaluated: offline, and simultaneous at ABLATION_CHUNK_SIZES_MS.
# Usage: ablations.sh [--dry-run]. The corpus must be there; settings: settings.sh, and
#   VARIANTS  which variants, of those below (default: all); the base is always with them
# Each is in RUNS/ablations/VARIANT; the tables are RUNS/ablations/ablations.160ms.md and so on. What is finished is not
# done again, so the variants may be run one by one: a table holds the base and those of VARIANTS.
set -euo pipefail
# shellcheck source=scripts/mini/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

ABLATED=echostream_mini
ABLATIONS=$RUNS/ablations
ALL_VARIANTS=(
    no_position_bias no_memory attention_memory no_convolution single_segment_4 single_segment_8 no_right_context
)
declare -A CHANGES=(
    [base]=''
    [no_position_bias]='--no-relative-position-bias'
    [no_memory]='--memory-size 0'
    [attention_memory]='--memory-mode attention'
    [no_convolution]='--emformer-conv-kernel-size 0'
    # One latency instead of many.
    [single_segment_4]='--segment-length 4 --segment-lengths 4'
    [single_segment_8]='--segment-length 8 --segment-lengths 8'
    [no_right_context]='--right-context-length 0'
)
((${#EXTRA_ARGS[@]} == 0)) || fail "ablations.sh takes --dry-run only, not '${EXTRA_ARGS[*]}': VARIANTS chooses variants."
read -ra variants <<<"${VARIANTS:-${ALL_VARIANTS[*]}}"
for variant in "${variants[@]}"; do
    [[ -v CHANGES[$variant] ]] || fail "there is no variant '$variant'; the variants are base ${ALL_VARIANTS[*]}."
done
mapfile -t variants < <(printf '%s\n' base "${variants[@]}" | awk '!seen[$0]++')

train_and_evaluate() {
    local flags="--train-side text --keep-interval-updates $ABLATION_AVERAGE $ABLATION_TRAIN_FLAGS"
    RUNS=$ABLATIONS/$1 ARCHS=$ABLATED MAX_UPDATE=$ABLATION_UPDATES UNIT_UPDATES=0 AVERAGE=$ABLATION_AVERAGE VOCODER='' ASR_MODEL='' \
        CHUNK_SIZES_MS=$ABLATION_CHUNK_SIZES_MS \
        TRAIN_FLAGS="$TRAIN_FLAGS $flags ${CHANGES[$1]}" \
        "$FR_EN/experiment.sh" train average offline simul-s2tt streaming-asr "${DRY_RUN_FLAG[@]}"
}

# describe CHUNK_SIZE_MS: what echostream.evaluation.ablation makes a table of.
describe() {
    local variant results
    printf 'chunk_ms: %s\nmanifest: "%s"\nvariants:\n' "$1" "$DATA/test.tsv"
    for variant in "${variants[@]}"; do
        results=$variant/$ABLATED
        printf '  %s:\n' "$variant"
        printf '    change: "%s"\n' "${CHANGES[$variant]}"
        printf '    results: [%s.offline-s2st.generate, %s.simul-s2tt, %s.streaming-asr]\n' "$results" "$results" "$results"
        printf '    checkpoint: %s.simul-s2st/average.last_%s.update_%s.pt\n' \
            "$results" "$ABLATION_AVERAGE" "$ABLATION_UPDATES"
    done
}

for variant in "${variants[@]}"; do
    say "$variant: ${CHANGES[$variant]:-the preset}"
    train_and_evaluate "$variant"
done
for chunk_size_ms in $ABLATION_CHUNK_SIZES_MS; do
    table=$ABLATIONS/ablations.${chunk_size_ms}ms
    ((DRY_RUN)) || describe "$chunk_size_ms" >"$table.yaml"
    run python -m echostream.evaluation.ablation "$table.yaml" --output "$table.md"
done
