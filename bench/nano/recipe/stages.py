"""Training stages: contrastive CLIP, then adversarial fine-tuning with FARE, TeCoA and TGA."""

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from bench.nano.nano_clip import IMAGE_SIZE, Architecture, build_clip, build_tokenizer
from bench.nano.recipe.batches import Pool, augment, batch_rows
from radapt import Anchor, FitOptions, extract_anchor, fit_anchor
from radapt.filters import PAPER_SIZE
from radapt.finetune import InnerAttack, finetune
from radapt.fingerprint import fingerprint
from radapt.images import open_images
from radapt.loop import Schedule, train
from radapt.objectives import fare, tecoa, tga
from radapt.tower import normalise

LABEL_SMOOTHING = 0.1
TEMPLATE = "This is a photo of a {c}"
PLUS_ALPHA, PLUS_CUTOFF, PLUS_IMAGES = 0.8, 40.0, 2000  # R-Adapt paper, Table 6


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the training, apart from the images.

    Attributes:
        architecture: Size of the towers.
        clip: Schedule of the contrastive stage.
        robust: Schedule of each adversarial stage.
        attack: Attack of the adversarial stages.
        batch: Images per step of the contrastive stage.
        shares: Relative share of each set in a batch: cifar100, cifar10, fashion-mnist, digits.
        robust_batch: Images per step of the adversarial stages.
        seed: Seed of weights, batches, captions and attacks.
    """

    architecture: Architecture
    clip: Schedule
    robust: Schedule
    attack: InnerAttack
    batch: int
    shares: tuple[float, ...]
    robust_batch: int
    seed: int

    @property
    def identity(self) -> str:
        """Text of the settings that a checkpoint depends on, without schedule and attack."""
        return f"{self.architecture} {self.batch} {self.shares} {self.robust_batch} {self.seed}"


def train_clip(
    pool: Pool, settings: Settings, out: Path, accelerator: Accelerator
) -> open_clip.CLIP:
    """Train the embedded CLIP on images and captions; resume from `out/clip.pt`."""
    torch.manual_seed(settings.seed)
    device = accelerator.device
    clip = build_clip(settings.architecture).to(device)
    tokenizer = build_tokenizer()
    captions = [tokenizer(list(texts)).to(device) for texts in pool.captions]

    def loss_of_step(model: nn.Module, step: int) -> Tensor:
        rng = np.random.default_rng((settings.seed, 1, step))
        rows = torch.from_numpy(
            batch_rows(pool, settings.shares, settings.batch, settings.seed, step)
        )
        images = augment(pool.images[rows].to(device), pool.mirrored[rows].to(device), rng)
        present, target = torch.unique(pool.classes[rows], return_inverse=True)
        texts = [captions[c][rng.integers(len(captions[c]))] for c in present.tolist()]
        return contrastive_loss(clip, normalise(images), torch.stack(texts), target.to(device))

    train("clip", clip, loss_of_step, settings.clip, out, accelerator, identity=settings.identity)
    return clip.eval()


def contrastive_loss(clip: open_clip.CLIP, images: Tensor, texts: Tensor, target: Tensor) -> Tensor:
    """Return the contrastive loss in both directions, for batches whose images share captions.

    The captions of a batch are distinct: one for each class in the batch. From text to image there
    are several positives with equal weight (UniCL, Yang et al. 2022, arXiv:2204.03610).

    Args:
        clip: The model.
        images: Normalised images `[b,3,h,w]`.
        texts: Tokens of the captions `[k,t]`.
        target: Caption number of each image, `[b]`.
    """
    scale = clip.logit_scale.clamp(max=math.log(100)).exp()
    logits = (
        scale
        * clip.encode_image(images, normalize=True)
        @ clip.encode_text(texts, normalize=True).T
    )
    by_image = F.cross_entropy(logits, target, label_smoothing=LABEL_SMOOTHING)
    positives = F.one_hot(target, len(texts)).T.float()
    by_text = F.cross_entropy(logits.T, positives / positives.sum(dim=1, keepdim=True))
    return (by_image + by_text) / 2


def train_robust(
    method: str,
    clip: open_clip.CLIP,
    pool: Pool,
    classes: tuple[str, ...],
    settings: Settings,
    out: Path,
    accelerator: Accelerator,
) -> nn.Module:
    """Fine-tune CLIP's image tower with `fare`, `tecoa` or `tga`; resume from `out/<method>.pt`."""
    texts = [TEMPLATE.replace("{c}", name) for name in classes]
    with torch.no_grad():
        text = clip.encode_text(build_tokenizer()(texts).to(accelerator.device), normalize=True)
    scale = clip.logit_scale.exp().item()
    match method:
        case "fare":
            objective = fare(clip.visual)
        case "tecoa":
            objective = tecoa(text, scale=scale)
        case _:
            # the distance between attention maps grows with their side, and the paper's weights
            # are for 224 pixels
            attacked, clean = 0.08 * PAPER_SIZE / IMAGE_SIZE, 0.05 * PAPER_SIZE / IMAGE_SIZE
            objective = tga(
                clip.visual, text, scale=scale, attacked_weight=attacked, clean_weight=clean
            )

    def batches(first: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in itertools.count(first):
            rng = np.random.default_rng((settings.seed, 2, step))
            rows = torch.from_numpy(
                batch_rows(pool, (1.0,), settings.robust_batch, settings.seed, step)
            )
            yield augment(pool.images[rows], pool.mirrored[rows], rng), pool.classes[rows]

    return finetune(
        method,
        copy.deepcopy(clip.visual),
        objective,
        batches,
        settings.attack,
        settings.robust,
        out,
        accelerator,
        identity=f"{method} {settings.identity} of {fingerprint(clip)}",
        seed=settings.seed,
    )


def fit_plus(clip: open_clip.CLIP, folder: Path, settings: Settings, out: Path) -> Anchor:
    """Fit R-Adapt+'s anchor on the images of a webdataset folder; reuse the anchor in `out`."""
    path = out / "plus.safetensors"
    if path.exists():
        return Anchor.load(path)
    images, _ = open_images(folder, (IMAGE_SIZE, IMAGE_SIZE)).take(PLUS_IMAGES, settings.seed)
    anchor = fit_anchor(
        clip.visual,
        images,
        start=extract_anchor(clip.visual),
        alpha=PLUS_ALPHA,
        cutoff=PLUS_CUTOFF,
        options=FitOptions(seed=settings.seed),
    )
    anchor.save(path)
    return anchor
