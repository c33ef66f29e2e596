"""A model that the battery brings along, for suites without another model to attack from."""

import torch

from bench.core.types import EmbeddingClassifier
from bench.data.tensors import Images
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel
from bench.models.embedded_clip import build_nano
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.suite.load import Suite
from bench.suite.specs import NanoModel

_WEIGHTS = ("clip", "fare")  # the second for a suite whose only model is the first


def embedded_source(
    suite: Suite, model: str, images: Images, device: torch.device
) -> tuple[str, EmbeddingClassifier]:
    """Return an embedded CLIP as a classifier of a dataset, with its name.

    Its images have 32 pixels, so on large images it is a weak source: its attacks may reveal a
    hidden gradient, but if they break nothing, that shows nothing.

    Args:
        suite: The suite, for its templates and how it resizes images.
        model: Name of the examined model, which is not its own source.
        images: The dataset's classes and templates.
        device: Device of the model.
    """
    examined = suite.models[model]
    own = examined.weights if isinstance(examined, NanoModel) else None
    weights = next(name for name in _WEIGHTS if name != own)
    spec = NanoModel.model_validate({"kind": "nano", "weights": weights})
    built = build_nano(spec, BuildContext(device, _no_reference, suite.protocol.resize, False))
    prompts = suite.protocol.templates_of(images.templates)
    head = zero_shot_head(built, images.classes, prompts)
    return f"the embedded {weights}", ZeroShotClassifier(built, head)


def _no_reference(name: str) -> ClipModel:
    raise AssertionError(f"an embedded model is made of no other, but asks for {name!r}")
