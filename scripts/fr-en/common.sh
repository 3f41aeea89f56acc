# shellcheck shell=bash
# Sourced by the fr-en scripts: what they share. Every location is an environment variable.
#   DATA            folder with the manifests, the YAML files and the dictionaries                       (required)
#   ARCH            echostream (default), streamspeech, echostream_mini or streamspeech_mini
#   CONFIG_YAML     data and encoder configuration in DATA (default: config_echostream.yaml or config_gcmvn.yaml)
#   MULTITASK_YAML  multitask configuration in DATA (default: config_mtl_asr_st_ctcst.yaml)
#   CODE_SIZE       number of target units (default: 1000)
#   RUNS            where checkpoints and results go (default: runs/fr-en)
#   DEVICE          cuda or cpu (default: cuda where there is one)
# --dry-run: commands.sh. Other arguments go to the main command as they are.

SCRIPT_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/environment.sh
source "$SCRIPT_DIR/../environment.sh"
# shellcheck source=scripts/commands.sh
source "$SCRIPT_DIR/../commands.sh"

ARCH=${ARCH:-echostream}
case $ARCH in
    echostream*) CONFIG_YAML=${CONFIG_YAML:-config_echostream.yaml} ;;
    streamspeech*) CONFIG_YAML=${CONFIG_YAML:-config_gcmvn.yaml} ;;
    *) fail "ARCH is '$ARCH'; it must be echostream, streamspeech, echostream_mini or streamspeech_mini." ;;
esac
MULTITASK_YAML=${MULTITASK_YAML:-config_mtl_asr_st_ctcst.yaml}
CODE_SIZE=${CODE_SIZE:-1000}
RUNS=${RUNS:-$ROOT/runs/fr-en}
[[ -d $VENV ]] && PATH="$VENV/bin:$PATH"

if [[ -z ${DEVICE:-} ]]; then
    if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then DEVICE=cuda; else DEVICE=cpu; fi
fi
need_path DATA "the folder with the manifests, the YAML files and the dictionaries"

# shellcheck disable=SC2034  # used by the scripts that source this file
TASK_FLAGS=(
    --user-dir "$ROOT/echostream"
    --config-yaml "$CONFIG_YAML" --multitask-config-yaml "$MULTITASK_YAML"
    --task speech_to_speech_ctc --target-is-code --target-code-size "$CODE_SIZE" --vocoder code_hifigan
)
