"""The embedded CLIP: architecture, tokenizer and weights."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import open_clip
from open_clip.tokenizer import SimpleTokenizer
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

WEIGHTS = Path(__file__).parent / "weights"
IMAGE_SIZE, HEAD_WIDTH, CONTEXT = 32, 32, 24


@dataclass(frozen=True, slots=True)
class Architecture:
    """Size of an embedded CLIP; the defaults are the size of the shipped model.

    Attributes:
        patch: Side of a patch in pixels; images have 32.
        width: Width of the image tower, a multiple of 32.
        layers: Blocks of the image tower.
        text_width: Width of the text tower, a multiple of 32.
        text_layers: Blocks of the text tower.
        embedding: Dimension of the shared embedding space.
    """

    patch: int = 8
    width: int = 128
    layers: int = 6
    text_width: int = 128
    text_layers: int = 3
    embedding: int = 128


def build_tokenizer() -> SimpleTokenizer:
    """Return CLIP's byte-level BPE, cut to the most frequent merges; it encodes any text."""
    return SimpleTokenizer(str(WEIGHTS / "merges.txt.gz"), context_length=CONTEXT)


def build_clip(architecture: Architecture | None = None) -> open_clip.CLIP:
    """Return an embedded CLIP with random weights."""
    size = architecture or Architecture()
    return open_clip.CLIP(
        embed_dim=size.embedding,
        vision_cfg={
            "image_size": IMAGE_SIZE,
            "patch_size": size.patch,
            "width": size.width,
            "head_width": HEAD_WIDTH,
            "layers": size.layers,
        },
        text_cfg={
            "context_length": CONTEXT,
            "vocab_size": build_tokenizer().vocab_size,
            "width": size.text_width,
            "heads": size.text_width // HEAD_WIDTH,
            "layers": size.text_layers,
        },
    )


def load_clip(weights: str, folder: Path = WEIGHTS) -> open_clip.CLIP:
    """Return the embedded CLIP with a shipped image tower, in single precision.

    Args:
        weights: Name of the image tower: `clip`, `fare`, `tecoa` or `tga`.
        folder: Folder of the weight files; the text tower's file states the architecture.
    """
    with safe_open(folder / "text.safetensors", framework="pt") as file:
        size = Architecture(**json.loads(file.metadata()["architecture"]))
    clip = build_clip(size)
    state = dict(load_file(folder / "text.safetensors"))
    tower = load_file(folder / f"{weights}.safetensors")
    state |= {f"visual.{name}": tensor for name, tensor in tower.items()}
    clip.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return clip.eval()


def load_pair(weights: str) -> tuple[open_clip.CLIP, SimpleTokenizer]:
    """Return an embedded CLIP and its tokenizer, as `python -m radapt` needs them."""
    return load_clip(weights), build_tokenizer()


def save_weights(
    clip: open_clip.CLIP, towers: dict[str, nn.Module], architecture: Architecture, folder: Path
) -> None:
    """Write the text tower and each image tower, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    text = {k: v for k, v in clip.state_dict().items() if not k.startswith("visual.")}
    for name, state in {"text": text, **{k: t.state_dict() for k, t in towers.items()}}.items():
        halves = {key: tensor.half().cpu().contiguous() for key, tensor in state.items()}
        metadata = {"architecture": json.dumps(asdict(architecture))}
        save_file(halves, folder / f"{name}.safetensors", metadata if name == "text" else None)
