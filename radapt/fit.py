"""R-Adapt+: optimise the anchor, and nothing else, on a few adversarial images."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radapt.adapt import Mix, adapt
from radapt.anchor import Anchor
from radapt.filters import PAPER_SIZE
from radapt.finetune import fare_loss, on_images
from radapt.pgd import pgd, uniform_start
from radapt.tower import CLIP_MEAN, CLIP_STD, normalise


def fit_anchor(
    tower: nn.Module,
    images: Tensor,
    *,
    start: Anchor,
    alpha: float,
    cutoff: float | None,
    mix: Mix = "interpolate",
    cutoff_at: int | None = PAPER_SIZE,
    loss: Literal["l2", "cosine"] = "l2",
    refresh: bool = False,
    eps: float = 4 / 255,
    steps: int = 10,
    epochs: int = 10,
    batch: int = 100,
    lr: float = 1e-2,
    seed: int = 0,
    mean: tuple[float, ...] = CLIP_MEAN,
    std: tuple[float, ...] = CLIP_STD,
) -> Anchor:
    """Fit an anchor so that adversarial images embed as their clean originals do.

    The paper says that only the anchor is optimised, on 2,000 adversarial images, and
    draws it as starting from the white-image anchor; objective, optimiser and attack are
    not published. The defaults are the likeliest reading: FARE's unsupervised loss, on
    images crafted once against the unadapted tower.

    Args:
        tower: The frozen tower, taking normalised pixels.
        images: Clean images in [0,1], `[n,3,h,w]`, of the tower's size.
        start: The anchor to begin from.
        alpha: As for `adapt`; the anchor is fitted for this value.
        cutoff: As for `adapt`.
        mix: As for `adapt`.
        cutoff_at: As for `adapt`.
        loss: Distance between embeddings: FARE's squared L2, or one minus the cosine.
        refresh: Craft anew against the adapted tower at each step, rather than once
            against the unadapted one.
        eps: Radius of the attack in [0,1] pixels (Linf).
        steps: Steps of the attack.
        epochs: Passes over the images.
        batch: Images per step of the optimiser.
        lr: Peak learning rate of Adam; it falls to zero along half a cosine.
        seed: Seed of the random starts and of the order of images.
        mean: Mean of the tower's normalisation, per channel.
        std: Deviation of the tower's normalisation, per channel.

    Returns:
        The fitted anchor, on the device of `start`.
    """
    generator = torch.Generator().manual_seed(seed)
    value = start.value.detach().clone().requires_grad_(True)
    # adapt() reads the anchor's tensor at each forward, so optimising it in place suffices
    trained = Anchor(value, start.tower, start.size, start.origin)
    adapted = adapt(
        tower, trained, alpha=alpha, cutoff=cutoff, mix=mix, cutoff_at=cutoff_at, mean=mean, std=std
    )

    def embed(model: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda pixels: model(normalise(pixels, mean, std))

    def craft(model: nn.Module, clean: Tensor, target: Tensor) -> Tensor:
        return pgd(
            on_images(fare_loss(target), embed(model)),
            clean,
            eps=eps,
            step=2.5 * eps / steps,
            steps=steps,
            start=uniform_start(clean, eps, generator),
        )

    with torch.no_grad():
        targets = torch.cat([embed(tower)(part) for part in images.split(batch)])
    static = (
        None
        if refresh
        else torch.cat(
            [
                craft(tower, part, target)
                for part, target in zip(images.split(batch), targets.split(batch), strict=True)
            ]
        )
    )
    optimiser = torch.optim.Adam([value], lr=lr)
    total = epochs * -(-len(images) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(batch):
            target = targets[rows]
            attacked = craft(adapted, images[rows], target) if static is None else static[rows]
            embedding = embed(adapted)(attacked)
            distance = (
                fare_loss(target)(embedding)
                if loss == "l2"
                else 1 - F.cosine_similarity(embedding, target, dim=1)
            )
            optimiser.zero_grad()
            distance.mean().backward(inputs=[value])
            optimiser.step()
            schedule.step()
    crafted = "refreshed" if refresh else "static"
    origin = (
        f"fitted on {len(images)} images ({crafted}, {loss}, eps {eps:.5f}) from {start.origin}"
    )
    return Anchor(value.detach(), start.tower, start.size, origin)
