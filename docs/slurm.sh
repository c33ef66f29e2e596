#!/bin/bash
# One suite on the accelerators of several nodes. Set the lines below for your cluster, then
#   sbatch docs/slurm.sh suites/zero_shot.yaml
# Run it from the repository's root, on a file system that all nodes share. When its time is up
# or a node fails, submit it again: what is finished is not computed twice.
#SBATCH --job-name=radapt-bench
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --exclusive
# --exclusive, as in the end Ray stops all of its processes that you have on these nodes
set -euo pipefail

SUITE=${1:?"usage: sbatch docs/slurm.sh SUITE [options of run_bench.py run]"}
shift
source .venv/bin/activate
export RAY_USAGE_STATS_ENABLED=0

HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --ntasks="$SLURM_NNODES" --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    ray symmetric-run --address "$HEAD:6379" --min-nodes "$SLURM_NNODES" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false \
    -- python run_bench.py run "$SUITE" --executor ray --address auto "$@"
