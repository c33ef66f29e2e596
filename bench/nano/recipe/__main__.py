"""Retrain the embedded models from raw images.

python -m bench.nano.recipe --data raw --out ~/nano            # on a CPU: about 90 minutes
python -m bench.nano.recipe --data raw --out ~/nano --large    # on a GPU
"""

import argparse
from pathlib import Path

import torch

from bench.nano.recipe.batches import load_pool
from bench.nano.recipe.loop import Schedule
from bench.nano.recipe.rawdata import load_raw
from bench.nano.recipe.stages import Settings, train_clip, train_fare, train_tecoa

SMALL = Settings(
    clip=Schedule(steps=5000, warmup=200, lr=1e-3, weight_decay=0.05),
    robust=Schedule(steps=900, warmup=50, lr=5e-4, weight_decay=1e-4),
    batch=256,
    shares=(55, 23, 16, 6),
    robust_batch=256,
    eps=2 / 255,
    inner_steps=3,
    seed=0,
)
TRAIN_SETS = ("cifar100", "cifar10", "fashion-mnist", "digits")


def main() -> None:
    """Run the stages that are not finished yet."""
    parser = argparse.ArgumentParser(prog="python -m bench.nano.recipe", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of parquet shards and idx files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    clip = train_clip(load_pool(TRAIN_SETS, options.data), SMALL, options.out, device)
    cifar100 = load_pool(("cifar100",), options.data)
    classes = load_raw("cifar100", "test", options.data).classes
    train_tecoa(clip, cifar100, classes, SMALL, options.out)
    train_fare(clip, cifar100, SMALL, options.out)


if __name__ == "__main__":
    main()
