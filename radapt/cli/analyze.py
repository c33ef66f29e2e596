"""`python -m radapt analyze`: draw the paper's analyses."""

import argparse
from pathlib import Path

from radapt.cli.shared import (
    Commands,
    add_device,
    add_images,
    add_model,
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

cka: similarity of the blocks of two towers. spectrum: change of the patch kernels' spectra.
attention: attention of the first block, and its dependence on the image. curves: accuracy over the
field that a suite sweeps. ablation: accuracy with each part of R-Adapt+ alone. Each writes
OUT.csv, OUT.png and OUT.svg, one paper column (8.5 cm) wide."""

PUBLISHED = "a table in results/published, drawn for comparison"


def add(commands: Commands) -> None:
    """Add the command and its subcommands."""
    parser = command(commands, "analyze", "Redraw the paper's analyses.", EXAMPLE)
    kinds = parser.add_subparsers(required=True, metavar="cka|spectrum|attention|curves|ablation")
    for name, run, count in (
        ("cka", cka, 512),
        ("spectrum", spectrum, 0),
        ("attention", attention, 64),
    ):
        kind = command(kinds, name, f"Compare towers: {name}.", EXAMPLE)
        add_model(kind, "[LABEL=]MODEL")
        kind.add_argument("--against", required=True, nargs="+", metavar="[LABEL=]MODEL")
        add_device(kind)
        if count:
            add_images(kind, count)
        if run is attention:
            kind.add_argument(
                "--shown", type=positive, default=4, help="number of images shown (default: 4)"
            )
        if run is cka:
            kind.add_argument("--published", type=Path, help=PUBLISHED)
        kind.add_argument("--out", type=Path, required=True, help="a file name without suffix")
        kind.set_defaults(run=run)
    for name, drawn, summary in (
        ("curves", curves, "Draw accuracy over the field that a suite sweeps."),
        ("ablation", ablation, "Draw accuracy of a suite's models as bars, next to Table 6."),
    ):
        kind = command(kinds, name, summary, EXAMPLE)
        kind.add_argument("cells", type=Path, help="cells.csv of a suite")
        if drawn is curves:
            kind.add_argument("--over", required=True, help="swept field: alpha, cutoff, modules")
            kind.add_argument(
                "--references", nargs="*", default=(), help="models drawn as horizontal lines"
            )
        kind.add_argument("--attack", default="apgd-ce", help="default: %(default)s")
        kind.add_argument("--eps", help="radius as in the table (default: the largest)")
        kind.add_argument("--published", type=Path, help=PUBLISHED)
        kind.add_argument("--out", type=Path, required=True, help="a file name without suffix")
        kind.set_defaults(run=drawn)


def cka(options: argparse.Namespace) -> None:
    """Draw the CKA similarity of all pairs of blocks."""
    from radapt import analysis, figures  # matplotlib: the `plot` extra

    label, clip = named_clip(options.model, options)
    _, images, _ = images_for(options, clip)
    batches = images.split(64)
    others = (named_clip(text, options) for text in options.against)
    maps = {name: analysis.cka(clip.tower, other.tower, batches) for name, other in others}
    figures.cka_maps(maps, options.out, rows=label, published=options.published)


def spectrum(options: argparse.Namespace) -> None:
    """Draw the change of the patch kernels' spectra."""
    from radapt import analysis, figures

    label, clip = named_clip(options.model, options)
    others = [named_clip(text, options) for text in options.against]
    maps = {
        f"{name} − {label}": analysis.spectral_shift(clip.tower, other.tower)
        for name, other in others
    }
    figures.spectral_maps(maps, options.out)


def attention(options: argparse.Namespace) -> None:
    """Draw the first block's attention over images, and its dependence on the image per head."""
    from radapt import analysis, figures
    from radapt.analysis.attention import Query

    towers = [named_clip(text, options) for text in (options.model, *options.against)]
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
