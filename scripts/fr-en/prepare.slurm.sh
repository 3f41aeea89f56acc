#!/usr/bin/env bash
# Example of a SLURM job array: the two long steps of prepare.sh in eight parts, each on one GPU. All variables are
# prepare.sh's. Three commands, from the checkout:
#   scripts/fr-en/prepare.sh pairs
#   sbatch --wait scripts/fr-en/prepare.slurm.sh
#   scripts/fr-en/prepare.sh
# The last one finds features and units done, and does the rest. A part that failed is submitted again alone:
#   sbatch --array=3 --export=ALL,NUM_SHARDS=8 scripts/fr-en/prepare.slurm.sh
#SBATCH --job-name=prepare-cvss
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --output=prepare-%A_%a.log
set -euo pipefail

# SLURM runs a copy of this file; the checkout is where sbatch was called.
export SHARD=$SLURM_ARRAY_TASK_ID NUM_SHARDS=${NUM_SHARDS:-$SLURM_ARRAY_TASK_COUNT}
"$SLURM_SUBMIT_DIR/scripts/fr-en/prepare.sh" features units "$@"
