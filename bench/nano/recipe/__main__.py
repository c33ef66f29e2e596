"""Retrain the embedded models from raw images, and write weights, anchor and test sets.

Stages that are finished are not repeated; a stage that was stopped goes on where it was.

    python -m bench.nano.recipe --data raw --out ~/nano                   # CPU: 90 minutes
    python -m bench.nano.recipe --data raw --out ~/nano --setting large   # for a GPU
    python -m bench.nano.recipe --data raw --out ~/nano --ship            # into the package
"""

import argparse
from pathlib import Path

import torch

from bench.data import NANO_DATA
from bench.nano.model import WEIGHTS, save_weights
from bench.nano.recipe.batches import load_pool
from bench.nano.recipe.loop import Schedule
from bench.nano.recipe.pack import pack_test_set
from bench.nano.recipe.rawdata import DATASETS, load_raw
from bench.nano.recipe.stages import Settings, fit_plus, train_clip, train_fare, train_tecoa

TRAIN_SETS = ("cifar100", "cifar10", "fashion-mnist", "digits")
SETTINGS = {
    "small": Settings(
        clip=Schedule(steps=5000, warmup=200, lr=1e-3, weight_decay=0.05),
        robust=Schedule(steps=900, warmup=50, lr=5e-4, weight_decay=1e-4),
        batch=256,
        shares=(55, 23, 16, 6),
        robust_batch=256,
        eps=2 / 255,
        inner_steps=3,
        seed=0,
    ),
    "large": Settings(
        clip=Schedule(steps=60_000, warmup=1000, lr=1e-3, weight_decay=0.05),
        robust=Schedule(steps=10_000, warmup=500, lr=5e-4, weight_decay=1e-4),
        batch=512,
        shares=(55, 23, 16, 6),
        robust_batch=512,
        eps=2 / 255,
        inner_steps=10,
        seed=0,
    ),
}


def main() -> None:
    """Run the stages that are not finished yet."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.nano.recipe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of parquet shards and idx files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--setting", choices=SETTINGS, default="small")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--ship", action="store_true", help="write into the package, not --out")
    options = parser.parse_args()
    settings, device = SETTINGS[options.setting], torch.device(options.device)
    clip = train_clip(load_pool(TRAIN_SETS, options.data), settings, options.out, device)
    clip.requires_grad_(False)
    cifar100 = load_pool(("cifar100",), options.data)
    classes = load_raw("cifar100", "test", options.data).classes
    towers = {
        "clip": clip.visual,
        "tecoa": train_tecoa(clip, cifar100, classes, settings, options.out),
        "fare": train_fare(clip, cifar100, settings, options.out),
    }
    weights = WEIGHTS if options.ship else options.out / "weights"
    save_weights(clip, towers, weights)
    fit_plus(clip, cifar100, settings).save(weights / "plus.safetensors")
    for name in DATASETS:
        raw = load_raw(name, "test", options.data)
        pack_test_set(name, raw, NANO_DATA if options.ship else options.out / "data")
    print(f"weights in {weights}")


if __name__ == "__main__":
    main()
