"""Size of a CLIP model from its name or configuration, without its weights and without torch."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.catalogue.repository_layouts import CLIP, OPEN_CLIP
from bench.core.errors import MALFORMED
from bench.core.identifiers import is_file_name
from bench.hub.weights import local_config
from bench.suite.load import Suite
from bench.suite.specs import ModelSpec
from bench.suite.specs.models import root_model

# open_clip's names of the architectures in RobustVLM's repositories
_KNOWN = {f"chs20/{name}-clip": "ViT-L-14" for name in ("fare2", "fare4", "tecoa2", "tecoa4")} | {
    f"chs20/{method}-{name}": name[:8]
    for method in ("FARE4", "TeCoA4")
    for name in ("ViT-B-32-laion2B-s34B-b79K", "ViT-B-16-laion2B-s34B-b88K")
}


_HEAD = 64  # width of an attention head in CLIPs up to ViT-L


@dataclass(frozen=True, slots=True)
class Transformer:
    """The image or text transformer of a CLIP model.

    Attributes:
        width: Size of a token's embedding.
        layers: Number of blocks.
        tokens: Number of tokens per input.
        hidden: Hidden size of a block's MLP.
        embedding: Number of parameters before the first block.
        quick: Whether the MLP's activation is QuickGELU, of which autograd keeps two tensors.
    """

    width: int
    layers: int
    tokens: int
    hidden: int
    embedding: int
    quick: bool = False

    @property
    def flops(self) -> float:
        """Number of floating-point operations of a forward pass of one input."""
        products = self.tokens * self.width * (4 * self.width + 2 * self.hidden)
        attention = 2 * self.tokens**2 * self.width
        return 2.0 * self.layers * (products + attention)

    @property
    def parameters(self) -> int:
        """Number of parameters without norms and biases, which are a few thousandths of it."""
        return self.layers * self.width * (4 * self.width + 2 * self.hidden) + self.embedding

    def kept_bytes(self, *, matrices: bool = False) -> int:
        """Return the bytes that autograd keeps of a pass of one input in fp32, weights frozen.

        Per block these are the inputs of two norms, of attention and of the activation, and the
        output of attention. Norms at both ends and pixels are not counted.

        Args:
            matrices: Whether attention keeps its matrices, as it does for second derivatives.
        """
        numbers = self.tokens * (6 * self.width + (2 if self.quick else 1) * self.hidden)
        if matrices:  # also queries and keys apart, in place of the output
            numbers += self.tokens * self.width + self.tokens**2 * (self.width // _HEAD)
        return 4 * self.layers * numbers


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a CLIP model: its image and text transformers."""

    image: Transformer
    text: Transformer

    @property
    def bytes(self) -> int:
        """Size of the weights in fp32, in bytes."""
        return 4 * (self.image.parameters + self.text.parameters)


def size_of(suite: Suite, name: str) -> Size | None:
    """Return a model's size; None if it is not known, for example for convolutional models."""
    spec = root_model(suite.models, name)
    try:
        found = _size(spec)
        if found is not None:
            float(found.image.flops + found.bytes)  # raises an error if they are no numbers
    except MALFORMED:
        return None  # a run reports what is wrong with the configuration
    return found


def _size(spec: ModelSpec) -> Size | None:
    if spec.layout is OPEN_CLIP:
        local = local_config(spec).get("model_cfg")
        return _from_open_clip(local or _shipped(_KNOWN.get(spec.config_name, spec.config_name)))
    return _from_hugging_face(local_config(spec)) if spec.layout is CLIP else None


def _shipped(name: str) -> dict[str, Any]:
    """Return a configuration file of the open_clip package; importing it would import torch."""
    package = importlib.util.find_spec("open_clip")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder) / "model_configs" / f"{name}.json"
        if is_file_name(f"{name}.json") and path.exists():
            return dict(json.loads(path.read_text("utf-8")))
    return {}


def _from_open_clip(config: dict[str, Any]) -> Size:
    vision, text = config["vision_cfg"], config["text_cfg"]
    quick = bool(config.get("quick_gelu"))
    image = _vision(
        vision["width"], vision["layers"], vision["image_size"], vision["patch_size"],
        int(vision["width"] * vision.get("mlp_ratio", 4)), quick,
    )  # fmt: skip
    return Size(image, _text(text["width"], text["layers"], text, 4 * text["width"], quick))


def _from_hugging_face(config: dict[str, Any]) -> Size:
    vision, text = config["vision_config"], config["text_config"]
    image = _vision(
        vision["hidden_size"], vision["num_hidden_layers"], vision["image_size"],
        vision["patch_size"], vision["intermediate_size"], vision.get("hidden_act") == "quick_gelu",
    )  # fmt: skip
    length = {"context_length": text["max_position_embeddings"], **text}
    width, layers = text["hidden_size"], text["num_hidden_layers"]
    quick = text.get("hidden_act") == "quick_gelu"
    return Size(image, _text(width, layers, length, text["intermediate_size"], quick))


def _vision(
    width: int, layers: int, size: int, patch: int, hidden: int, quick: bool
) -> Transformer:
    tokens = (size // patch) ** 2 + 1
    return Transformer(width, layers, tokens, hidden, width * (3 * patch**2 + tokens), quick)


def _text(width: int, layers: int, config: dict[str, Any], hidden: int, quick: bool) -> Transformer:
    length, words = config["context_length"], config["vocab_size"]
    return Transformer(width, layers, length, hidden, width * (words + length), quick)
