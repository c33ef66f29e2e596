"""What is attacked: embedded models on embedded images, and vision towers of true size."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.devices import device_name
from bench.core.torchvision_shim import ensure_torchvision
from bench.core.types import Classifier
from bench.evaluate.craft import sample_seed
from bench.evaluate.model_cache import ModelCache
from bench.models import ClipModel
from bench.models.clip import Preprocessing
from bench.models.zero_shot import ZeroShotClassifier
from bench.plan.resolve import resolve
from bench.suite.load import load_suite
from bench.suite.specs import Resize
from radapt.normalisations import CLIP_MEAN, CLIP_STD

ensure_torchvision()

import open_clip  # noqa: E402  needs torchvision

EMBEDDED = ("CLIP", "FARE", "R-Adapt_CLIP")
TRUE_SIZE = "ViT-L-14" if torch.cuda.is_available() else "ViT-B-32"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PIXELS = 224  # of an image of a tower of true size
_CLASSES = 10
_TEXT = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with images `[n,3,h,w]`, labels `[n]` and a random seed per image."""

    name: str
    model: Classifier
    images: Tensor
    labels: Tensor
    seeds: list[int]

    def some(self, count: int) -> "Subject":
        """Return the same with the first images only."""
        return Subject(
            self.name, self.model, self.images[:count], self.labels[:count], self.seeds[:count]
        )


def embedded(name: str, samples: int) -> Subject:
    """Return a model of the quickstart suite with images of CIFAR-10."""
    suite = load_suite("suites/quickstart.yaml").model_copy(update={"samples": samples})
    lock, _ = resolve(suite)
    cache = ModelCache(suite, lock, {}, DEVICE, None, False)
    images = cache.images("cifar10")
    ids = lock.datasets["cifar10"].sample_ids
    return Subject(
        name,
        cache.classifier(name, "cifar10"),
        images.floats(torch.arange(len(ids))),
        images.labels,
        [sample_seed(0, key) for key in ids],
    )


def sized(name: str) -> ZeroShotClassifier:
    """Return a tower of true size with random weights, and a head of random class vectors."""
    config = open_clip.get_model_config(name)
    torch.manual_seed(0)
    clip = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], _TEXT)
    tower = clip.visual.to(DEVICE).eval().requires_grad_(False)
    head = F.normalize(torch.randn(config["embed_dim"], _CLASSES), dim=0).to(DEVICE)
    preprocessing = Preprocessing((PIXELS, PIXELS), CLIP_MEAN, CLIP_STD, Resize())
    return ZeroShotClassifier(ClipModel(tower, _no_texts, 100.0, preprocessing), head)


def _no_texts(texts: Sequence[str]) -> Tensor:
    raise NotImplementedError("towers of true size have no text encoder")


def true_size(samples: int, name: str = TRUE_SIZE) -> Subject:
    """Return a tower of true size with enlarged images of CIFAR-10, labelled as it sees them."""
    small = embedded("CLIP", samples)
    images = F.interpolate(small.images, (PIXELS, PIXELS), mode="bicubic", antialias=True).clamp(
        0, 1
    )
    model = sized(name)
    with torch.no_grad():
        labels = torch.cat([model(part).argmax(dim=1) for part in images.split(8)])
    return Subject(name, model, images, labels, small.seeds)


def machine() -> str:
    """Return in words what the figures are taken on."""
    threads = torch.get_num_threads()
    many = f"{threads} thread{'s' if threads > 1 else ''}"
    chip = device_name(DEVICE) if DEVICE.type == "cuda" else "no GPU"
    return f"{many} of a {os.cpu_count()}-core {_processor()}, {chip}, torch {torch.__version__}"


def _processor() -> str:
    described = Path("/proc/cpuinfo")  # Linux tells no other way
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def timed(work: Callable[[], object]) -> float:
    """Return the wall time of some work, in seconds."""
    synchronise()
    started = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - started


def synchronise() -> None:
    """Wait for the accelerator, where there is one."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
