"""`python -m radapt analyze`."""

import argparse
from pathlib import Path

from radapt.cli.shared import (
    Commands,
    add_device,
    add_images,
    command,
    images_for,
    named_clip,
    positive,
)
from radapt.tower import prefix_tokens, token_grid

EXAMPLE = """\
  python -m radapt analyze cka --model CLIP=ViT-L-14-quickgelu:openai \\
      --against FARE=hf-hub:chs20/fare4-clip --data imagenet --split val --out figures/cka
  python -m radapt analyze curves results/alpha/cells.csv --over alpha \\
      --published results/published/alpha.csv --out figures/alpha

cka: how alike the blocks of two towers are. spectrum: how the kernels' spectra shift. attention:
what the first block attends to, and how far that depends on the image. curves: accuracy over
what a suite sweeps. ablation: accuracy with each part of R-Adapt+ alone. Each writes OUT.csv,
OUT.png and OUT.svg, a column of a paper (8.5 cm) wide."""

PUBLISHED = "a table of results/published, to be drawn beside"


def add(commands: Commands) -> None:
    """Add the command and what it draws."""
    parser = command(commands, "analyze", "Redraw the paper's analyses.", EXAMPLE)
    kinds = parser.add_subparsers(required=True, metavar="cka|spectrum|attention|curves|ablation")
    for name, run, count in (
        ("cka", cka, 512),
        ("spectrum", spectrum, 0),
        ("attention", attention, 64),
    ):
        kind = command(kinds, name, f"Compare towers: {name}.", EXAMPLE)
        kind.add_argument("--model", required=True, metavar="[LABEL=]MODEL")
        kind.add_argument("--against", required=True, nargs="+", metavar="[LABEL=]MODEL")
        add_device(kind)
        if count:
            add_images(kind, count)
        if run is attention:
            kind.add_argument("--shown", type=positive, default=4, help="overlays (default: 4)")
        if run is cka:
            kind.add_argument("--published", type=Path, help=PUBLISHED)
        kind.add_argument("--out", type=Path, required=True, help="a file name without suffix")
        kind.set_defaults(run=run)
    for name, drawn, words in (
        ("curves", curves, "Draw accuracy over what a suite sweeps."),
        ("ablation", ablation, "Draw accuracy of a suite's models as bars, beside Table 6."),
    ):
        kind = command(kinds, name, words, EXAMPLE)
        kind.add_argument("cells", type=Path, help="cells.csv of a suite")
        if drawn is curves:
            kind.add_argument("--over", required=True, help="swept field: alpha, cutoff, modules")
            kind.add_argument("--references", nargs="*", default=(), help="models drawn as levels")
        kind.add_argument("--attack", default="apgd-ce")
        kind.add_argument("--eps", help="as in the table (default: the largest)")
        kind.add_argument("--published", type=Path, help=PUBLISHED)
        kind.add_argument("--out", type=Path, required=True, help="a file name without suffix")
        kind.set_defaults(run=drawn)


def cka(options: argparse.Namespace) -> None:
    """Draw the similarity of all pairs of blocks."""
    from radapt import analysis, figures  # matplotlib: the `plot` extra

    label, clip = named_clip(options.model, options.device)
    _, images, _ = images_for(options, clip)
    batches = images.split(64)
    others = (named_clip(text, options.device) for text in options.against)
    maps = {name: analysis.cka(clip.tower, other.tower, batches) for name, other in others}
    figures.cka_maps(maps, options.out, rows=label, published=options.published)


def spectrum(options: argparse.Namespace) -> None:
    """Draw how the spectra of the patch kernels shift."""
    from radapt import analysis, figures

    label, clip = named_clip(options.model, options.device)
    others = [named_clip(text, options.device) for text in options.against]
    maps = {
        f"{name} − {label}": analysis.spectral_shift(clip.tower, other.tower)
        for name, other in others
    }
    figures.spectral_maps(maps, options.out)


def attention(options: argparse.Namespace) -> None:
    """Draw overlays of the first block's attention, and its dependence on the image by head."""
    from radapt import analysis, figures
    from radapt.analysis.attention import Query

    towers = [named_clip(text, options.device) for text in (options.model, *options.against)]
    _, images, _ = images_for(options, towers[0][1])
    shown = images[: options.shown]
    batches = images.split(64)
    overlays, heads = {}, {}
    for name, clip in towers:
        weights = analysis.attention_weights(clip.tower, shown, mean=clip.mean, std=clip.std)
        query: Query = "class" if prefix_tokens(clip.tower) else "patches"
        overlays[name] = analysis.heat_map(weights, token_grid(clip.tower), query=query).cpu()
        heads[name] = analysis.input_dependence(clip.tower, batches, mean=clip.mean, std=clip.std)
    figures.attention_overlays(shown, overlays, options.out)
    figures.dependence_bars(heads, options.out.with_name(f"{options.out.name}-heads"))


def curves(options: argparse.Namespace) -> None:
    """Draw clean and robust accuracy over a swept field."""
    from radapt import figures
    from radapt.analysis.points import read_cells

    figures.curves(
        read_cells(options.cells),
        options.over,
        options.out,
        attack=options.attack,
        eps=options.eps,
        references=options.references,
        published=options.published,
    )


def ablation(options: argparse.Namespace) -> None:
    """Draw clean and robust accuracy of a suite's models as bars."""
    from radapt import figures
    from radapt.analysis.points import read_cells

    figures.ablation(
        read_cells(options.cells),
        options.out,
        attack=options.attack,
        eps=options.eps,
        published=options.published,
    )
