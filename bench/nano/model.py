"""The embedded CLIP: architecture, tokenizer, and reading its shipped weights."""

from pathlib import Path
from typing import Any

import open_clip
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file, save_file
from torch import nn

WEIGHTS = Path(__file__).parent / "weights"
CONTEXT = 24
ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 128, "head_width": 32, "layers": 6},
    "text_cfg": {"context_length": CONTEXT, "width": 128, "heads": 4, "layers": 3},
}


def build_tokenizer() -> SimpleTokenizer:
    """Return CLIP's byte-level BPE cut to its most frequent merges: it encodes any text."""
    return SimpleTokenizer(str(WEIGHTS / "merges.txt.gz"), context_length=CONTEXT)


def build_clip(architecture: dict[str, Any] = ARCHITECTURE) -> open_clip.CLIP:
    """Return the embedded CLIP with random weights."""
    text = {**architecture["text_cfg"], "vocab_size": build_tokenizer().vocab_size}
    return open_clip.CLIP(
        embed_dim=architecture["embed_dim"], vision_cfg=architecture["vision_cfg"], text_cfg=text
    )


def load_clip(weights: str, folder: Path = WEIGHTS) -> open_clip.CLIP:
    """Return the embedded CLIP with one of its shipped image towers, in single precision.

    Args:
        weights: `clip`, `fare` or `tecoa`.
        folder: Where the weight files lie.
    """
    clip = build_clip()
    state = dict(load_file(folder / "text.safetensors"))
    tower = load_file(folder / f"{weights}.safetensors")
    state |= {f"visual.{name}": tensor for name, tensor in tower.items()}
    clip.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return clip.eval()


def save_weights(clip: open_clip.CLIP, towers: dict[str, nn.Module], folder: Path) -> None:
    """Write the text tower once and each image tower, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    text = {k: v for k, v in clip.state_dict().items() if not k.startswith("visual.")}
    for name, state in {"text": text, **{k: t.state_dict() for k, t in towers.items()}}.items():
        halves = {key: tensor.half().cpu().contiguous() for key, tensor in state.items()}
        save_file(halves, folder / f"{name}.safetensors")
