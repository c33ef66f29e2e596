"""Train the embedded models from raw images, and write weights, anchor and test sets.

Finished stages are not repeated; a stopped stage continues where it stopped.

    python -m bench.nano.recipe --data raw --out ~/nano                   # CPU: 105 minutes
    python -m bench.nano.recipe --data raw --out ~/nano --setting large   # for a GPU
    python -m bench.nano.recipe --data raw --out ~/nano --ship            # into the package
"""

import argparse
from pathlib import Path

from accelerate import Accelerator
from torch import nn

from bench.data import NANO_DATA
from bench.nano.nano_clip import WEIGHTS, Architecture, save_weights
from bench.nano.recipe.batches import load_pool
from bench.nano.recipe.pack import pack
from bench.nano.recipe.rawdata import DATASETS, load_raw
from bench.nano.recipe.stages import PLUS_IMAGES, Settings, fit_plus, train_clip, train_robust
from radapt.finetune import InnerAttack
from radapt.loop import Schedule

TRAIN_SETS = ("cifar100", "cifar10", "fashion-mnist", "digits")
METHODS = ("tecoa", "fare", "tga")


def _schedule(steps: int, warmup: int, lr: float, weight_decay: float) -> Schedule:
    return Schedule(steps, warmup, lr, weight_decay, betas=(0.9, 0.98), floor=0.01, clip=1.0)


SETTINGS = {
    "small": Settings(
        architecture=Architecture(),
        clip=_schedule(steps=5000, warmup=200, lr=1e-3, weight_decay=0.05),
        robust=_schedule(steps=900, warmup=50, lr=5e-4, weight_decay=1e-4),
        attack=InnerAttack(eps=2 / 255, steps=3, step=2 / 255 * 2 / 3),
        batch=256,
        shares=(55, 23, 16, 6),
        robust_batch=256,
        seed=0,
    ),
    "large": Settings(
        architecture=Architecture(patch=4, width=192, layers=8),
        clip=_schedule(steps=60_000, warmup=1000, lr=1e-3, weight_decay=0.05),
        robust=_schedule(steps=10_000, warmup=500, lr=5e-4, weight_decay=1e-4),
        attack=InnerAttack(eps=2 / 255, steps=10, step=2 / 255 / 5),
        batch=512,
        shares=(50, 20, 25, 5),
        robust_batch=512,
        seed=0,
    ),
}


def main() -> None:
    """Run the unfinished stages."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.nano.recipe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of parquet shards and idx files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--setting", choices=SETTINGS, default="small")
    parser.add_argument(
        "--ship", action="store_true", help="write weights and test sets into the package"
    )
    options = parser.parse_args()
    settings = SETTINGS[options.setting]
    accelerator = Accelerator()
    if accelerator.num_processes > 1:  # each process would train on the same rows
        parser.error(f"got {accelerator.num_processes} processes; allowed: 1")
    clip = train_clip(load_pool(TRAIN_SETS, options.data), settings, options.out, accelerator)
    clip.requires_grad_(False)
    cifar100 = load_pool(("cifar100",), options.data)
    classes = load_raw("cifar100", "test", options.data).classes
    towers: dict[str, nn.Module] = {"clip": clip.visual}
    for method in METHODS:
        towers[method] = train_robust(
            method, clip, cifar100, classes, settings, options.out, accelerator
        )
    weights = WEIGHTS if options.ship else options.out / "weights"
    save_weights(clip, towers, settings.architecture, weights)
    subset = options.out / "few"  # the paper fits its anchor on this number of images
    pack("cifar100", load_raw("cifar100", "train", options.data), subset, "train", PLUS_IMAGES)
    fit_plus(clip, subset / "cifar100", settings, options.out).save(weights / "plus.safetensors")
    for name in DATASETS:
        raw = load_raw(name, "test", options.data)
        pack(name, raw, NANO_DATA if options.ship else options.out / "data")
    print(f"weights in {weights}")


if __name__ == "__main__":
    main()
