# shellcheck shell=bash
# Sourced by the SimulEval scripts. A chunk size that was evaluated is not evaluated again; the report comes at the end.
#   MODEL_PATH      checkpoint                                                                           (required)
#   SPLIT           folder of DATA/simuleval with wav_list.txt, target.txt and src.txt (default: test)
#   CHUNK_SIZES_MS  latencies to run, multiples of 40 (default: "320 640 960 1280 1600 1920 2240 2560")
#   OUTPUT          results (default: $RUNS/$ARCH.<script>): chunk_size=320 …, report/report.md
#   COMPUTATION_AWARE  1 adds computation-aware latencies (default: 1)
# FORCE: commands.sh. REPORT, LATENCY, CVSS_C, ASR_MODEL, ASR_COMMAND: results.sh.
# shellcheck source=scripts/fr-en/results.sh
source "$SCRIPT_DIR/results.sh"

need_path MODEL_PATH "a checkpoint"
SPLIT=${SPLIT:-test}
SIMULEVAL_DATA=$DATA/simuleval/$SPLIT

# simultaneous NAME TASK TARGET FLAG …: one SimulEval run for each latency, with the metrics of the task.
simultaneous() {
    local name=$1 task=$2 target=$3 chunk_size_ms results command
    shift 3
    local awareness=()
    [[ ${COMPUTATION_AWARE:-1} == 1 ]] || awareness=(--no-computation-aware)
    results=${OUTPUT:-$RUNS/$ARCH.$name}
    for chunk_size_ms in ${CHUNK_SIZES_MS:-320 640 960 1280 1600 1920 2240 2560}; do
        command=(
            echostream-eval --task "$task"
            --model-path "$MODEL_PATH" --data-bin "$DATA"
            --config-yaml "$CONFIG_YAML" --multitask-config-yaml "$MULTITASK_YAML"
            --source "$SIMULEVAL_DATA/wav_list.txt" --target "$SIMULEVAL_DATA/$target"
            --source-segment-size "$chunk_size_ms" --device "$DEVICE" "${awareness[@]}"
            --output "$results/chunk_size=$chunk_size_ms" "$@" "${EXTRA_ARGS[@]}"
        )
        finished "$results/chunk_size=$chunk_size_ms/scores.tsv" "${command[@]}" || run "${command[@]}"
    done
    report "$results/report" "$results"
}
