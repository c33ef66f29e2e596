"""`python -m radapt finetune`: adversarial fine-tuning of a vision tower."""

import argparse
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radapt.checkpoint import save_atomically
from radapt.cli.shared import Commands, add_model, command, file_settings, model_of
from radapt.clip import Clip
from radapt.file_settings import UNSET
from radapt.fingerprint import fingerprint
from radapt.images import open_images, parts
from radapt.objectives import on_images, tecoa_loss
from radapt.pgd import pgd
from radapt.tower import embedding, image_size, normalise

EXAMPLE = """\
  accelerate launch -m radapt finetune fare4 --model ViT-L-14-quickgelu:openai \\
      --data imagenet --evaluate imagenet --workers 8 --out runs/fare4
  python -m radapt finetune my_recipe.yaml --model hf-hub:ORG/NAME --data shards --out runs/mine

Shipped recipes: fare2, fare4, tecoa2, tecoa4, tga. For several GPUs use `accelerate launch`; mixed
precision and gradient accumulation are `precision` and `accumulate` in the recipe."""
HELD_OUT = 256


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "Fine-tune a vision tower adversarially (FARE, TeCoA, TGA); resumes a stopped run."
    parser = command(commands, "finetune", summary, EXAMPLE)
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    add_model(parser)
    parser.add_argument(
        "--data", type=Path, required=True, help="training images: class folders or shards"
    )
    parser.add_argument(
        "--evaluate", type=Path, help="evaluation images for clean and PGD accuracy in the log"
    )
    parser.add_argument(
        "--split", default="val", help="folder of the evaluation images (default: val)"
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="number of processes that decode images"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the checkpoint and the log"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Fine-tune a tower, and write its weights to a file next to the checkpoint."""
    from accelerate import Accelerator  # the `train` extra; other commands do not need it

    from radapt.finetune import finetune
    from radapt.recipe import load_recipe

    recipe = load_recipe(options.recipe)
    accelerator = Accelerator(mixed_precision=recipe.precision)
    clip = model_of(options, accelerator.device)
    settings = file_settings(options)  # part of the identity if they are set
    images = open_images(options.data, image_size(clip.tower))
    part, rest = divmod(recipe.batch, recipe.accumulate * accelerator.num_processes)
    if rest:
        raise ValueError(
            f"batch: got {recipe.batch}; allowed: a multiple of accumulate x processes, "
            f"{recipe.accumulate} x {accelerator.num_processes}"
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

    evaluate = None
    if options.evaluate is not None:
        held = open_images(options.evaluate, image_size(clip.tower), options.split)
        text = clip.classes(held.classes, recipe.template)
        pixels, labels = (tensor.to(accelerator.device) for tensor in held.take(HELD_OUT, 0))

        def evaluate(tower: nn.Module) -> Mapping[str, float]:
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
        f"{accelerator.num_processes}{'' if settings == UNSET else f' {settings}'}",
        seed=recipe.seed,
        evaluate=evaluate,
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
    """Return a tower's zero-shot accuracy in [0,1], clean and under PGD with 10 steps."""

    def embed(pixels: Tensor) -> Tensor:
        return embedding(tower, normalise(pixels, clip.mean, clip.std)).float()

    def correct(pixels: Tensor, truth: Tensor) -> Tensor:
        with torch.no_grad():
            return (F.normalize(embed(pixels), dim=1) @ text.T).argmax(dim=1) == truth

    clean, robust = [], []
    for pixels, truth in zip(images.split(64), labels.split(64), strict=True):
        attack = on_images(tecoa_loss(text, truth, clip.scale), embed)
        attacked = pgd(attack, pixels, eps=eps, step=eps / 4, steps=10)
        clean.append(correct(pixels, truth))
        robust.append(correct(attacked, truth))
    return {
        "clean": float(torch.cat(clean).float().mean()),
        "robust": float(torch.cat(robust).float().mean()),
    }
