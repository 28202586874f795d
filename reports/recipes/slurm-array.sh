#!/usr/bin/env bash
# A sweep as an array of Slurm jobs, one shard each, on any nodes that share this folder and have `kuzusync` on the PATH:
#
#   sbatch --wait --array=0-15 slurm-array.sh --seeds 0..1000000 ; kuzusync merge shards/* --out all
#
# A shard that finds something ends with its exit code, which Slurm shows as FAILED; `merge` tells what it was. Arguments
# are those of `kuzusync sweep`, the same for every shard.
#SBATCH --job-name=kuzusync
#SBATCH --array=0-3
#SBATCH --cpus-per-task=1
#SBATCH --output=kuzusync-%A-%a.log
set -euo pipefail

mkdir -p shards
exec kuzusync sweep "$@" \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --jobs "${SLURM_CPUS_PER_TASK:-1}" \
    --out "shards/$SLURM_ARRAY_TASK_ID"
