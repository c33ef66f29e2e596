"""Adversarial fine-tuning of a vision tower with the objectives of FARE, TeCoA or TGA."""

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
    """The training attack: Linf PGD from a uniformly random start.

    Attributes:
        eps: Radius in [0,1] pixels.
        steps: Number of gradient steps.
        step: Step size in [0,1] pixels.
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
    """Fine-tune all weights of `tower` in place; resume from a checkpoint in `out`, if any.

    Args:
        name: Name of the run's files in `out`.
        tower: A vision tower that takes normalised pixels, on the accelerator's device.
        objective: An objective of `radapt.objectives`; its losses are computed in fp32.
        batches: Given the number of a part, yields the images `[b,3,h,w]` in [0,1] and labels
            `[b]` of this part and of all later parts. A part's images must not depend on the
            first part. Each process yields its share.
        attack: The training attack.
        schedule: Optimiser, number of steps and learning rate.
        out: Folder of the checkpoint and the log.
        accelerator: Devices, processes and precision.
        identity: Text that identifies the images, the objective and all else that the result
            depends on besides tower, attack, schedule and seed. A checkpoint with another
            identity is an error.
        seed: Seed of the attack's random starts.
        evaluate: Returns the accuracies `clean` and `robust` in [0,1] for the log.
        evaluate_every: Number of log rows (20 steps each) between evaluations.
        checkpoint_seconds: Minimum time between checkpoints in seconds.
        mean: Mean of the tower's normalisation per channel; None for the tower's own
            (`radapt.tower.normalisation`).
        std: Standard deviation of the tower's normalisation per channel; None for its own.

    Returns:
        The tower in evaluation mode, without the wrappers of mixed precision and processes.

    Raises:
        ValueError: The checkpoint in `out` belongs to a run with other settings.
    """
    mean, std = normalisation(tower, mean, std)
    started = fingerprint(tower)
    tower.train().requires_grad_(True)
    device, process = accelerator.device, int(accelerator.process_index)
    stream: Iterator[tuple[Tensor, Tensor]] | None = None

    def embed(model: nn.Module, pixels: Tensor) -> Tensor:
        with accelerator.autocast():
            embeddings = embedding(model, normalise(pixels, mean, std))
        return embeddings.float()  # losses are computed in fp32, because logits need it

    def seed_of(part: int) -> int:
        # its own per part and process, so that a resumed run draws the same numbers
        return (seed * 1_000_003 + part) * 1009 + process

    def loss_of_part(model: nn.Module, part: int) -> Tensor:
        # dropout uses the global random generator
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed_of(part))
            return loss_of(model, part)

    def loss_of(model: nn.Module, part: int) -> Tensor:
        nonlocal stream
        stream = stream or batches(part)
        images, labels = (tensor.to(device, non_blocking=True) for tensor in next(stream))
        noise = torch.Generator(device).manual_seed(seed_of(part))
        with accelerator.autocast():
            loss = objective.loss(images, labels)
            guidance = objective.guidance(images, labels) if objective.guidance else None
        tower.eval().requires_grad_(False)  # the attack needs gradients of pixels only
        adversarial = pgd(
            # the unwrapped tower: the attack's passes need no synchronisation between processes
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
        # one pass over both: the distributed wrapper allows one forward pass per backward pass
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
