"""Fine-tuning: objectives, exact resume, several processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from radapt.finetune import InnerAttack, finetune
from radapt.loop import Schedule, train
from radapt.objectives import Objective, fare, fare_loss, final_tokens, tecoa, text_attention, tga
from radapt.tower import normalise
from tests.towers import build

ROOT = Path(__file__).parents[1]
SCHEDULE = Schedule(steps=6, warmup=2, lr=1e-3, weight_decay=0.01)
ATTACK = InnerAttack(eps=4 / 255, steps=2, step=2 / 255)


class Stop(Exception):
    pass


def batches(first: int, stop: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    part = first
    while part != stop:
        generator = torch.Generator().manual_seed(part)
        yield torch.rand(4, 3, 32, 32, generator=generator), torch.arange(4) % 3
        part += 1
    raise Stop


def text(classes: int = 3) -> Tensor:
    return F.normalize(torch.randn(classes, 16, generator=torch.Generator().manual_seed(0)), dim=1)


def objective(method: str) -> Objective:
    original = build("gelu")
    match method:
        case "fare":
            return fare(original)
        case "tecoa":
            return tecoa(text())
        case _:
            return tga(original, text())


def trained(method: str, out: Path, schedule: Schedule = SCHEDULE, **extra: object) -> nn.Module:
    return finetune(
        method, build("gelu"), objective(method), batches, ATTACK, schedule, out,
        Accelerator(cpu=True), **extra,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize("method", ["fare", "tecoa", "tga"])
def test_every_weight_is_trained_towards_the_objective(method: str, tmp_path: Path) -> None:
    before = build("gelu")
    schedule = Schedule(steps=30, warmup=2, lr=2e-3, weight_decay=0.0)
    tower = trained(method, tmp_path, schedule)
    for name, value in tower.state_dict().items():
        assert not torch.equal(value, before.state_dict()[name]), name
    losses = [line.split(",") for line in (tmp_path / f"{method}.csv").read_text().splitlines()]
    assert losses[0][:3] == ["step", "loss", "lr"]
    assert [row[0] for row in losses[1:]] == ["20", "30"]
    assert float(losses[2][1]) < float(losses[1][1])


def test_fare_is_a_summed_square_and_zero_at_the_original() -> None:
    tower, images = build("gelu"), torch.rand(2, 3, 32, 32)
    loss = fare(tower).loss(images, torch.zeros(2, dtype=torch.long))
    clean = tower(normalise(images))
    assert torch.equal(loss(clean), torch.zeros(2))
    assert torch.allclose(loss(clean + 0.5), torch.full((2,), 0.25 * 16))
    assert torch.allclose(fare_loss(clean)(clean + 2), torch.full((2,), 4.0 * 16))


def test_tecoa_is_the_cross_entropy_of_scaled_cosines() -> None:
    labels = torch.tensor([0, 2])
    found = tecoa(text(), scale=100).loss(torch.zeros(2, 3, 8, 8), labels)(text()[labels] * 7)
    expected = F.cross_entropy(100 * text()[labels] @ text().T, labels, reduction="none")
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("axis", ["tokens", "width"])
def test_text_attention_by_hand(axis: str) -> None:
    tower, images = build("gelu"), torch.rand(2, 3, 32, 32)
    with final_tokens(tower) as found:
        embedding = tower(normalise(images))
    tokens = found[0]
    assert torch.allclose(tokens[:, 0] @ tower.proj, embedding, atol=1e-6)  # type: ignore[operator]
    wanted = text()[:2]
    maps = text_attention(tower, tokens, wanted, (4, 4), axis)  # type: ignore[arg-type]
    patches = (tokens[:, 1:] @ tower.proj).detach()  # type: ignore[operator]
    for image in range(2):
        features = patches[image] / patches[image].norm(
            dim=0 if axis == "tokens" else 1, keepdim=True
        ).clamp_min(1e-12)
        match = features @ wanted[image]
        match = (match - match.min()) / (match.max() - match.min())
        assert torch.allclose(maps[image].flatten(), match, atol=1e-5)
    assert float(maps.min()) == 0
    assert float(maps.max()) == pytest.approx(1)


def test_tga_guides_the_attention_of_attacked_and_clean_images() -> None:
    tower = build("gelu")
    images, labels = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    goal = tga(tower, text(), attacked_weight=0.08, clean_weight=0.05)
    assert goal.guidance is not None
    guidance = goal.guidance(images, labels)
    with final_tokens(tower) as found:
        tower(normalise(images))
        tower(normalise(1 - images))
    clean, other = found
    assert torch.equal(guidance(clean, clean), torch.zeros(2))
    far, near = guidance(other, clean), guidance(clean, other)
    assert torch.allclose(far / near, torch.full((2,), 0.08 / 0.05))
    maps = [text_attention(tower, t, text()[labels], (32, 32)) for t in (other, clean)]
    assert torch.allclose(far, 0.08 * (maps[0] - maps[1]).flatten(1).norm(dim=1))
    with pytest.raises(TypeError, match="TGA needs patch tokens"), final_tokens(build("average")):
        pass


@pytest.mark.parametrize("method", ["fare", "tga"])
def test_a_killed_run_goes_on_to_the_same_weights_and_curve(method: str, tmp_path: Path) -> None:
    schedule = Schedule(steps=30, warmup=2, lr=1e-3, weight_decay=0.01, accumulate=2)
    whole = trained(method, tmp_path / "whole", schedule)
    goal, accelerator = objective(method), Accelerator(cpu=True)
    with pytest.raises(Stop):
        finetune(
            method, build("gelu"), goal, lambda first: batches(first, stop=50), ATTACK,
            schedule, tmp_path / "cut", accelerator, checkpoint_seconds=0,
        )  # fmt: skip
    assert (tmp_path / "cut" / f"{method}.csv").read_text().count("\n") == 2
    resumed = trained(method, tmp_path / "cut", schedule)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    curves = [
        [
            line.split(",")[:3]
            for line in (tmp_path / run / f"{method}.csv").read_text().splitlines()
        ]
        for run in ("whole", "cut")
    ]
    assert curves[0] == curves[1]


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    trained("fare", tmp_path)
    trained("fare", tmp_path)  # finished: nothing to do
    for change in ({"seed": 1}, {"identity": "another tower"}):
        with pytest.raises(ValueError, match=r"fare\.pt: a checkpoint of a run with"):
            trained("fare", tmp_path, **change)


def test_accumulated_parts_make_one_step(tmp_path: Path) -> None:
    def run(parts: int, out: Path) -> Tensor:
        torch.manual_seed(0)
        net = nn.Linear(4, 2)
        data = torch.randn(5, 8, 4, generator=torch.Generator().manual_seed(3))

        def loss(model: nn.Module, part: int) -> Tensor:
            step, share = divmod(part, parts)
            return model(data[step].chunk(parts)[share]).square().mean()  # type: ignore[no-any-return]

        schedule = Schedule(5, 0, 0.1, 0.0, optimiser="sgd", accumulate=parts)
        train("net", net, loss, schedule, out, Accelerator(cpu=True))
        return net.weight.detach()

    assert torch.allclose(run(1, tmp_path / "a"), run(4, tmp_path / "b"), atol=1e-6)


def test_evaluation_during_training_is_logged(tmp_path: Path) -> None:
    modes: list[bool] = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        modes.append(model.training)
        return {"clean": 0.75, "robust": 0.25}

    schedule = Schedule(steps=50, warmup=1, lr=1e-3, weight_decay=0.0)
    trained("fare", tmp_path, schedule, evaluate=evaluate, evaluate_every=2)
    rows = [line.split(",") for line in (tmp_path / "fare.csv").read_text().splitlines()]
    assert [(row[0], row[4], row[5]) for row in rows[1:]] == [
        ("20", "", ""), ("40", "0.75", "0.25"), ("50", "0.75", "0.25"),
    ]  # fmt: skip
    assert modes == [False, False]


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """The same images in all, half of them on each of two processes, give the same weights."""
    script = Path(__file__).with_name("train_shared.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for processes in (1, 2):
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        subprocess.run(
            [sys.executable, *launch, str(processes), script, tmp_path / f"{processes}"],
            env=environment, check=True, capture_output=True, timeout=300,
        )  # fmt: skip
    one, two = (
        torch.load(tmp_path / f"{n}" / "tga.pt", weights_only=True)["module"] for n in (1, 2)
    )
    start = build("gelu").state_dict()
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=2e-5), name
        assert not torch.equal(value, start[name])
