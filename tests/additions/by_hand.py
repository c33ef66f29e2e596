"""What an added metric or task must come to on clean images, computed without the harness."""

import torch

from bench.data import index_dataset, load_images
from bench.models import build_model
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.suite.specs import NanoDataset, NanoModel


def clean_ranks(count: int) -> list[int]:
    """Return the rank of the true class of each image of cifar10, 1 if it has the highest logit.

    The model is the embedded FARE, the sample that of a suite with this `samples` and seed 0, and
    the prompts those of the dataset.
    """
    spec, device = NanoDataset(name="cifar10"), torch.device("cpu")
    found = load_images(spec, index_dataset(spec, count, 0).sample_ids, "native")
    model = build_model(NanoModel(kind="nano", weights="fare"), device, lambda name: None)
    head = zero_shot_head(model, found.classes, found.templates)
    with torch.no_grad():
        logits = ZeroShotClassifier(model, head)(torch.from_numpy(found.images).float() / 255)
    own = logits.gather(1, torch.from_numpy(found.labels)[:, None])
    ranks: list[int] = (1 + (logits > own).sum(dim=1)).tolist()
    return ranks
