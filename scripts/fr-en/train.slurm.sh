#!/usr/bin/env bash
# Example of a SLURM job: two nodes with four GPUs each train together. All variables are the training script's; the
# number of nodes and GPUs is SLURM's. A job that is requeued or submitted again goes on from the last checkpoint.
#   DATA=… sbatch scripts/fr-en/train.slurm.sh [FLAG …]
#   SCRIPT  what to train (default: train.simul-s2st.sh)
# More or fewer devices: sbatch --nodes=1 --gres=gpu:8 …; BATCHES_PER_UPDATE must be a multiple of their number.
#SBATCH --job-name=train-echostream
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=32
#SBATCH --mem=128G
#SBATCH --time=2-00:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=train-%j.log
set -euo pipefail

# SLURM starts one task a node, and torchrun one process a GPU. SLURM runs a copy of this file; the checkout is where
# sbatch was called.
first_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER=$first_node:$((20000 + SLURM_JOB_ID % 20000))
export NUM_NODES=$SLURM_JOB_NUM_NODES NUM_GPUS=${SLURM_GPUS_ON_NODE:?ask SLURM for GPUs with --gres=gpu:N} DEVICE=cuda
srun --kill-on-bad-exit=1 "$SLURM_SUBMIT_DIR/scripts/fr-en/${SCRIPT:-train.simul-s2st.sh}" "$@"
