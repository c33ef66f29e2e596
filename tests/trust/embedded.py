"""The embedded CLIPs and images of the gallery."""

from functools import cache

import torch
from torch import Tensor

from bench.core.types import ImageTextModel
from bench.data import index_dataset, load_images
from bench.models import build_model
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.suite.specs import NanoDataset, NanoModel

IMAGES = 24
CPU = torch.device("cpu")


@cache
def nano(weights: str) -> ImageTextModel:
    """Return an embedded CLIP."""
    return build_model(NanoModel.model_validate({"kind": "nano", "weights": weights}), CPU, nano)


@cache
def data() -> tuple[Tensor, Tensor, tuple[str, ...], tuple[str, ...]]:
    """Return images, labels, classes and prompts; the second half of the images is held out."""
    spec = NanoDataset(name="cifar10")
    lock = index_dataset(spec, 2 * IMAGES, 0)
    found = load_images(spec, lock.sample_ids, "native")
    images = torch.from_numpy(found.images).float() / 255
    return images, torch.from_numpy(found.labels), found.classes, found.templates


@cache
def classifier(weights: str) -> ZeroShotClassifier:
    """Return an embedded CLIP with the head of the images' classes."""
    _, _, classes, templates = data()
    model = nano(weights)
    return ZeroShotClassifier(model, zero_shot_head(model, classes, templates))
