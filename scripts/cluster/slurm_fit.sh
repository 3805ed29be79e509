#!/bin/bash
# Fits on several machines of a SLURM cluster, and goes on until the fit is done.
#
#   sbatch scripts/cluster/slurm_fit.sh lstm.yml [further arguments of fit]
#
# Fill in what your cluster wants: partition, account, time, machines, GPUs of each. The two numbers
# must agree with configs/multi_node.yml: --nodes with trainer.num_nodes, --ntasks-per-node with
# trainer.devices.
#
# SLURM tells 90 seconds before the time is up: the fit writes a checkpoint, puts its job back into
# the queue, and ends. The job starts this script again, and the fit goes on from that checkpoint.
#SBATCH --job-name=transformertf
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=SIGUSR1@90
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out

set -euo pipefail

config=${1:?usage: sbatch scripts/cluster/slurm_fit.sh CONFIG [arguments of fit]}
shift

# bring the environment up here, e.g.: source /path/to/.venv/bin/activate

# one task for each GPU; when one fails, the others end with it
srun --kill-on-bad-exit=1 transformertf fit \
    --config "$config" --config configs/multi_node.yml \
    --ckpt_path last --trainer.enable_progress_bar false "$@"
