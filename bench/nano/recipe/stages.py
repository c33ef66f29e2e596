"""The stages of the recipe: CLIP by contrast, then FARE and TeCoA from it by attack."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.nano.model import build_clip, build_tokenizer
from bench.nano.recipe.batches import Pool, augment, batch_rows
from bench.nano.recipe.loop import Schedule, train
from radapt import Anchor, extract_anchor, fit_anchor
from radapt.finetune import RobustLoss, fare_loss, on_images, tecoa_loss
from radapt.pgd import pgd, uniform_start
from radapt.tower import normalise

LABEL_SMOOTHING = 0.1
TECOA_TEMPLATE = "This is a photo of a {c}"
PLUS_ALPHA, PLUS_CUTOFF = 0.8, 40.0  # the paper's, Table 6


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a run of the recipe depends on besides the images.

    Attributes:
        clip: Schedule of the contrastive stage.
        robust: Schedule of each adversarial stage.
        batch: Images per step of the contrastive stage.
        shares: Share of each set in a batch: cifar100, cifar10, fashion-mnist, digits.
        robust_batch: Images per step of the adversarial stages.
        eps: Linf radius of adversarial training, in [0,1] pixels.
        inner_steps: Steps of the attack inside training.
        seed: Seed of weights, batches, captions and attacks.
    """

    clip: Schedule
    robust: Schedule
    batch: int
    shares: tuple[float, ...]
    robust_batch: int
    eps: float
    inner_steps: int
    seed: int


def train_clip(pool: Pool, settings: Settings, out: Path, device: torch.device) -> open_clip.CLIP:
    """Train the embedded CLIP on images and captions; resume from `out/clip.pt`."""
    torch.manual_seed(settings.seed)
    clip = build_clip().to(device)
    tokenizer = build_tokenizer()
    captions = [tokenizer(list(texts)).to(device) for texts in pool.captions]

    def loss_of_step(step: int) -> Tensor:
        rng = np.random.default_rng((settings.seed, 1, step))
        rows = torch.from_numpy(
            batch_rows(pool, settings.shares, settings.batch, settings.seed, step)
        )
        images = augment(pool.images[rows].to(device), pool.mirrored[rows].to(device), rng)
        present, target = torch.unique(pool.classes[rows], return_inverse=True)
        texts = [captions[c][rng.integers(len(captions[c]))] for c in present.tolist()]
        return contrastive_loss(clip, normalise(images), torch.stack(texts), target.to(device))

    train("clip", clip, loss_of_step, settings.clip, out)
    return clip.eval()


def contrastive_loss(clip: open_clip.CLIP, images: Tensor, texts: Tensor, target: Tensor) -> Tensor:
    """Image-text contrast in both directions where many images share a caption.

    The batch's captions are distinct, one for each class present; text to image has
    several positives, weighted alike (UniCL, Yang et al. 2022, arXiv:2204.03610).
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


def train_fare(clip: open_clip.CLIP, pool: Pool, settings: Settings, out: Path) -> nn.Module:
    """Fine-tune CLIP's image tower with FARE's loss; resume from `out/fare.pt`."""
    original = clip.visual.eval()

    def loss_for(images: Tensor, labels: Tensor) -> RobustLoss:
        with torch.no_grad():
            return fare_loss(original(normalise(images)))

    return _train_robust("fare", clip, pool, settings, out, loss_for)


def train_tecoa(
    clip: open_clip.CLIP, pool: Pool, classes: tuple[str, ...], settings: Settings, out: Path
) -> nn.Module:
    """Fine-tune CLIP's image tower with TeCoA's loss; resume from `out/tecoa.pt`."""
    texts = [TECOA_TEMPLATE.replace("{c}", name) for name in classes]
    device = clip.logit_scale.device
    with torch.no_grad():
        text = clip.encode_text(build_tokenizer()(texts).to(device), normalize=True)

    def loss_for(images: Tensor, labels: Tensor) -> RobustLoss:
        return tecoa_loss(text, labels, scale=clip.logit_scale.exp().item())

    return _train_robust("tecoa", clip, pool, settings, out, loss_for)


def _train_robust(
    name: str,
    clip: open_clip.CLIP,
    pool: Pool,
    settings: Settings,
    out: Path,
    loss_for: Callable[[Tensor, Tensor], RobustLoss],
) -> nn.Module:
    tower: nn.Module = copy.deepcopy(clip.visual).train().requires_grad_(True)
    device = clip.logit_scale.device

    def embed(images: Tensor) -> Tensor:
        return tower(normalise(images))  # type: ignore[no-any-return]

    def loss_of_step(step: int) -> Tensor:
        rng = np.random.default_rng((settings.seed, 2, step))
        generator = torch.Generator(device).manual_seed(settings.seed * 1_000_003 + step)
        rows = torch.from_numpy(
            batch_rows(pool, (1.0,), settings.robust_batch, settings.seed, step)
        )
        images = augment(pool.images[rows].to(device), pool.mirrored[rows].to(device), rng)
        loss = loss_for(images, pool.classes[rows].to(device))
        tower.requires_grad_(False)
        adversarial = pgd(
            on_images(loss, embed),
            images,
            eps=settings.eps,
            step=2 * settings.eps / settings.inner_steps,
            steps=settings.inner_steps,
            start=uniform_start(images, settings.eps, generator),
        )
        tower.requires_grad_(True)
        return loss(embed(adversarial)).mean()

    train(name, tower, loss_of_step, settings.robust, out)
    return tower.eval()


def fit_plus(clip: open_clip.CLIP, pool: Pool, settings: Settings, images: int = 2000) -> Anchor:
    """Fit R-Adapt+'s anchor on train images of the pool, as many as the paper uses."""
    device = clip.logit_scale.device
    rows = torch.from_numpy(batch_rows(pool, (1.0,), images, settings.seed, 0))
    return fit_anchor(
        clip.visual,
        pool.images[rows].to(device).float() / 255,
        start=extract_anchor(clip.visual),
        alpha=PLUS_ALPHA,
        cutoff=PLUS_CUTOFF,
        seed=settings.seed,
    )
