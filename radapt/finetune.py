"""Adversarial fine-tuning of a vision tower: one loop for FARE, TeCoA and TGA, at any size."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from radapt.fingerprint import fingerprint
from radapt.loop import Schedule, train
from radapt.objectives import Objective, on_images, shared_tokens
from radapt.pgd import pgd, uniform_start
from radapt.tower import embedding, normalisation, normalise


@dataclass(frozen=True, slots=True)
class InnerAttack:
    """The attack inside training (Linf, from a uniform start).

    Attributes:
        eps: Radius, in [0,1] pixels.
        steps: Gradient steps.
        step: Size of a step, in [0,1] pixels.
    """

    eps: float
    steps: int
    step: float


def finetune(
    name: str,
    tower: nn.Module,
    objective: Objective,
    batches: Callable[[int], Iterator[tuple[Tensor, Tensor]]],
    attack: InnerAttack,
    schedule: Schedule,
    out: Path,
    accelerator: Accelerator,
    *,
    identity: str = "",
    seed: int = 0,
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    evaluate_every: int = 25,
    checkpoint_seconds: float = 120,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> nn.Module:
    """Fine-tune every weight of `tower` in place, resuming from `out` where it was stopped.

    Args:
        name: Name of the run's files in `out`.
        tower: A vision tower that takes normalised pixels; on the accelerator's device.
        objective: From `radapt.objectives`; its losses are computed in single precision.
        batches: Given the number of a part, yields that part's images `[b,3,h,w]` in
            [0,1] and labels `[b]`, and those of all later parts. What it yields for a
            part must not depend on where it was started. Each process yields its share.
        attack: The attack inside training.
        schedule: Optimiser, steps and learning rate.
        out: Folder of the checkpoint and the log.
        accelerator: Devices, processes and precision.
        identity: What the run depends on besides tower, attack, schedule and seed, such as the
            images and the objective; a checkpoint of another run is refused.
        seed: Seed of the attack's random starts.
        evaluate: Gives `clean` and `robust`, fractions, for the log.
        evaluate_every: Rows of the log (20 steps each) between evaluations.
        checkpoint_seconds: How often the state is saved, at the next row of the log.
        mean: Mean of the tower's normalisation, per channel; its own when not given
            (`radapt.tower.normalisation`).
        std: Deviation of the tower's normalisation, likewise.

    Returns:
        The tower, in evaluation mode, without what mixed precision or several processes put
        around it.

    Raises:
        ValueError: The checkpoint in `out` belongs to a run with other settings.
    """
    mean, std = normalisation(tower, mean, std)
    started = fingerprint(tower)
    tower.train().requires_grad_(True)
    device, process = accelerator.device, accelerator.process_index
    stream: Iterator[tuple[Tensor, Tensor]] | None = None

    def embed(model: nn.Module, pixels: Tensor) -> Tensor:
        with accelerator.autocast():
            found = embedding(model, normalise(pixels, mean, std))
        return found.float()  # losses are single precision throughout: logits need it

    def loss_of_part(model: nn.Module, part: int) -> Tensor:
        # dropout draws from the global stream
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed((seed * 1_000_003 + part) * 1009 + process)
            return loss_of(model, part)

    def loss_of(model: nn.Module, part: int) -> Tensor:
        nonlocal stream
        stream = stream or batches(part)
        images, labels = (tensor.to(device, non_blocking=True) for tensor in next(stream))
        # one stream of noise per part and process, whatever ran before it
        noise = torch.Generator(device).manual_seed((seed * 1_000_003 + part) * 1009 + process)
        with accelerator.autocast():
            loss = objective.loss(images, labels)
            guidance = objective.guidance(images, labels) if objective.guidance else None
        tower.eval().requires_grad_(False)  # the attack needs gradients of pixels only
        adversarial = pgd(
            # the bare tower: an attack's passes are nothing to synchronise
            on_images(loss, lambda pixels: embed(tower, pixels)),
            images,
            eps=attack.eps,
            step=attack.step,
            steps=attack.steps,
            start=uniform_start(images, attack.eps, noise),
        )
        tower.train().requires_grad_(True)
        if guidance is None:
            return loss(embed(model, adversarial)).mean()
        # one pass over both: the wrapper of several processes wants one per backward
        with shared_tokens(tower) as found:
            embeddings = embed(model, torch.cat([adversarial, images]))
        attacked, clean = found[0].chunk(2)
        return (loss(embeddings[: len(images)]) + guidance(attacked, clean)).mean()

    def evaluated(model: nn.Module) -> Mapping[str, float]:
        assert evaluate is not None
        model.eval()
        try:
            return evaluate(model)
        finally:
            model.train()

    train(
        name,
        tower,
        loss_of_part,
        schedule,
        out,
        accelerator,
        identity=f"{identity}|{started}|{attack}|{seed}",
        evaluate=evaluated if evaluate else None,
        evaluate_every=evaluate_every,
        checkpoint_seconds=checkpoint_seconds,
    )
    return tower.eval()
