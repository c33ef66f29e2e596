"""`python -m radapt anchor`: extract an anchor from a tower."""

import argparse
from pathlib import Path

from radapt.anchor import extract_anchor
from radapt.cli.shared import Commands, add_device, add_model, command, model_of, prepared

EXAMPLE = """\
  python -m radapt anchor --model ViT-L-14-quickgelu:openai --out anchors/clip.safetensors
  python -m radapt anchor --model hf-hub:chs20/fare4-clip --out anchors/fare4.safetensors"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "anchor", "Extract a white image's anchor from a tower.", EXAMPLE)
    add_model(parser)
    add_device(parser)
    parser.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Extract an anchor and write it to a file."""
    clip = model_of(options, options.device)
    anchor = extract_anchor(clip.tower, mean=clip.mean, std=clip.std)
    anchor.save(prepared(options.out))
    print(f"{options.out}: {tuple(anchor.value.shape)}, {anchor.origin}, {anchor.tower}")
