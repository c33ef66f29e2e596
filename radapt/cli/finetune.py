"""`python -m radapt finetune`."""

import argparse
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radapt.checkpoint import save_atomically
from radapt.cli.shared import Commands, command
from radapt.clip import Clip, load_clip
from radapt.fingerprint import fingerprint
from radapt.images import open_images, parts
from radapt.objectives import on_images, tecoa_loss
from radapt.pgd import pgd
from radapt.tower import embedding, image_size, normalise

EXAMPLE = """\
  accelerate launch -m radapt finetune fare4 --model ViT-L-14-quickgelu:openai \\
      --data imagenet --evaluate imagenet --workers 8 --out runs/fare4
  python -m radapt finetune my_recipe.yaml --model hf-hub:ORG/NAME --data shards --out runs/mine

shipped recipes: fare2, fare4, tecoa2, tecoa4, tga. Several GPUs, mixed precision and gradient
accumulation: `accelerate launch`, and `precision` and `accumulate` in the recipe."""
HELD_OUT = 256


def add(commands: Commands) -> None:
    """Add the command."""
    words = "Fine-tune a vision tower adversarially (FARE, TeCoA, TGA); a stopped run goes on."
    parser = command(commands, "finetune", words, EXAMPLE)
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument("--model", required=True, metavar="MODEL")
    parser.add_argument(
        "--data", type=Path, required=True, help="class folders, or webdataset shards"
    )
    parser.add_argument("--evaluate", type=Path, help="the same, for clean and PGD accuracy")
    parser.add_argument("--split", default="val", help="folder in it (default: val)")
    parser.add_argument("--workers", type=int, default=0, help="processes that decode images")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and log")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train, and write the tower's weights alone beside the checkpoint."""
    from accelerate import Accelerator  # the `train` extra; other commands do without

    from radapt.finetune import finetune
    from radapt.recipe import load_recipe

    recipe = load_recipe(options.recipe)
    accelerator = Accelerator(mixed_precision=recipe.precision)
    clip = load_clip(options.model, accelerator.device)
    images = open_images(options.data, image_size(clip.tower))
    part, rest = divmod(recipe.batch, recipe.accumulate * accelerator.num_processes)
    if rest:
        raise ValueError(
            f"batch: got {recipe.batch}; {recipe.accumulate} part(s) on "
            f"{accelerator.num_processes} process(es) need a multiple of their product"
        )

    def batches(first: int) -> Iterator[tuple[Tensor, Tensor]]:
        return parts(
            images,
            part * accelerator.num_processes,
            recipe.seed,
            first,
            process=accelerator.process_index,
            processes=accelerator.num_processes,
            workers=options.workers,
        )

    judge = None
    if options.evaluate is not None:
        held = open_images(options.evaluate, image_size(clip.tower), options.split)
        text = clip.classes(held.classes, recipe.template)
        pixels, labels = (tensor.to(accelerator.device) for tensor in held.take(HELD_OUT, 0))

        def judge(tower: nn.Module) -> Mapping[str, float]:
            return accuracies(clip, tower, pixels, labels, text, recipe.attack.eps)

    tower = finetune(
        recipe.method,
        copy.deepcopy(clip.tower),
        recipe.objective(clip, images.classes),
        batches,
        recipe.inner_attack(),
        recipe.schedule(),
        options.out,
        accelerator,
        identity=f"{recipe} {fingerprint(clip.tower)} {len(images)} {images.classes} "
        f"{accelerator.num_processes}",
        seed=recipe.seed,
        evaluate=judge,
        mean=clip.mean,
        std=clip.std,
    )
    if accelerator.is_main_process:
        path = options.out / f"{recipe.method}-tower.pt"
        save_atomically(tower.state_dict(), path)
        print(f"{path}: the tower's weights")


def accuracies(
    clip: Clip, tower: nn.Module, images: Tensor, labels: Tensor, text: Tensor, eps: float
) -> dict[str, float]:
    """Return zero-shot accuracy, clean and under PGD of 10 steps, of a tower in training."""

    def embed(pixels: Tensor) -> Tensor:
        return embedding(tower, normalise(pixels, clip.mean, clip.std)).float()

    def right(pixels: Tensor, truth: Tensor) -> Tensor:
        with torch.no_grad():
            return (F.normalize(embed(pixels), dim=1) @ text.T).argmax(dim=1) == truth

    clean, robust = [], []
    for pixels, truth in zip(images.split(64), labels.split(64), strict=True):
        attack = on_images(tecoa_loss(text, truth, clip.scale), embed)
        attacked = pgd(attack, pixels, eps=eps, step=eps / 4, steps=10)
        clean.append(right(pixels, truth))
        robust.append(right(attacked, truth))
    return {
        "clean": float(torch.cat(clean).float().mean()),
        "robust": float(torch.cat(robust).float().mean()),
    }
