"""`python -m radapt fit`: fit an anchor on adversarial images."""

import argparse
import csv
from dataclasses import astuple, fields
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import get_args

from radapt.adapted import Mix
from radapt.anchor import Anchor, extract_anchor
from radapt.atomic_write import write_atomically
from radapt.cli.shared import (
    Commands,
    add_device,
    add_images,
    add_model,
    command,
    images_for,
    model_of,
    positive,
    prepared,
)
from radapt.fit import Epoch, fit_anchor
from radapt.fit_task import Decay, FitOptions, Loss, Optimiser

EXAMPLE = """\
  python -m radapt fit --model ViT-L-14-quickgelu:openai --data imagenet --images 2000 \\
      --alpha 0.8 --cutoff 40 --out anchors/plus.safetensors"""
DEFAULT = FitOptions()


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "Optimise an anchor on adversarial images (R-Adapt+); the tower stays frozen."
    parser = command(commands, "fit", summary, EXAMPLE)
    add_model(parser)
    add_device(parser)
    add_images(parser, 2000)
    parser.add_argument("--alpha", type=float, default=0.8, help="default: %(default)s")
    parser.add_argument(
        "--cutoff", type=_cutoff, default=40.0, help="D0 of the filter, or none (default: 40)"
    )
    parser.add_argument(
        "--mix",
        choices=get_args(Mix),
        default="interpolate",
        help="(1-alpha) A + alpha R (default), or A + alpha R",
    )
    parser.add_argument(
        "--start", type=Path, help="file of the initial anchor (default: a white image's anchor)"
    )
    parser.add_argument("--loss", choices=get_args(Loss), default=DEFAULT.loss)
    parser.add_argument("--attack-loss", choices=get_args(Loss), help="default: as --loss")
    parser.add_argument(
        "--refresh", action="store_true", help="craft adversarial images at each step, not once"
    )
    parser.add_argument(
        "--eps", type=_radius, default=Fraction(4, 255), help="radius (default: 4/255)"
    )
    for name in ("steps", "epochs", "batch"):
        parser.add_argument(f"--{name}", type=positive, default=getattr(DEFAULT, name))
    parser.add_argument("--optimiser", choices=get_args(Optimiser), default=DEFAULT.optimiser)
    parser.add_argument("--lr", type=float, default=DEFAULT.lr)
    parser.add_argument("--decay", choices=get_args(Decay), default=DEFAULT.decay)
    parser.add_argument(
        "--held-out", type=float, default=0.0,
        help="fraction of the images that selects the best epoch (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--patience", type=positive, help="stop after this many epochs without improvement"
    )
    parser.add_argument("--template", default="a photo of a {c}", help="prompt for --loss ce")
    parser.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    parser.set_defaults(run=run)


def _radius(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a number such as 4/255") from None


def _cutoff(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a number, or none") from None


def run(options: argparse.Namespace) -> None:
    """Fit an anchor, log each epoch, and write the anchor; a stopped fit is resumed."""
    clip = model_of(options, options.device)
    all_images, images, labels = images_for(options, clip)
    choices = {field.name: getattr(options, field.name) for field in fields(FitOptions)}
    start = (
        Anchor.load(options.start)
        if options.start
        else extract_anchor(clip.tower, mean=clip.mean, std=clip.std)
    )
    log = prepared(options.out).with_suffix(".csv")
    state = options.out.with_suffix(".state")
    rows = _rows(log) if state.exists() else {}

    def report(epoch: Epoch) -> None:
        # a fit stopped between the report and the checkpoint repeats the epoch, and its row
        rows[epoch.epoch] = astuple(epoch)
        write_atomically(log, partial(_write, [rows[number] for number in sorted(rows)]))
        print(
            f"epoch {epoch.epoch}/{options.epochs}  loss {epoch.loss:.4f}"
            + ("" if epoch.held_out is None else f"  held out {epoch.held_out:.4f}")
            + f"  {epoch.seconds:.0f} s",
            flush=True,
        )

    needs_text = "ce" in (options.loss, options.attack_loss)
    text = clip.classes(all_images.classes, options.template) if needs_text else None
    anchor = fit_anchor(
        clip.tower,
        images,
        start=start,
        alpha=options.alpha,
        cutoff=options.cutoff,
        mix=options.mix,
        options=FitOptions(**{**choices, "eps": float(options.eps)}),
        labels=labels,
        text=text,
        mean=clip.mean,
        std=clip.std,
        checkpoint=state,
        report=report,
    )
    anchor.save(options.out)
    state.unlink(missing_ok=True)
    print(f"{options.out}: {anchor.origin}")


def _rows(log: Path) -> dict[int, tuple[object, ...]]:
    if not log.exists():
        return {}
    with log.open(newline="") as file:
        return {int(row[0]): tuple(row) for row in list(csv.reader(file))[1:]}


def _write(rows: list[tuple[object, ...]], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Epoch)])
        writer.writerows(rows)
