"""Fine-tuning: objectives, exact resume, several processes."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from radapt import adapt, extract_anchor
from radapt.finetune import InnerAttack, finetune
from radapt.loop import Schedule, train
from radapt.objectives import (
    Objective,
    RobustLoss,
    fare,
    fare_loss,
    shared_tokens,
    tecoa,
    text_attention,
    tga,
)
from radapt.tower import normalise
from tests.support import forked, train_shared
from tests.support.towers import build, open_clip_tower

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
    """As TGA-ZSR's public code has it: the class token counts in the norm, not in the map."""
    tower, images = build("gelu"), torch.rand(2, 3, 32, 32)
    with shared_tokens(tower) as found:
        embedding = tower(normalise(images))
    tokens = found[0]
    assert torch.allclose(tokens[:, 0], embedding, atol=1e-6)
    wanted = text()[:2]
    maps = text_attention(tokens, wanted, (4, 4), axis)  # type: ignore[arg-type]
    for image in range(2):
        along = 0 if axis == "tokens" else 1
        features = tokens[image] / tokens[image].norm(dim=along, keepdim=True)
        match = features[1:] @ wanted[image]
        match = (match - match.min()) / (match.max() - match.min())
        assert torch.allclose(maps[image].flatten(), match, atol=1e-5)
    assert float(maps.min()) == 0
    assert float(maps.max()) == pytest.approx(1)


def test_tga_guides_the_attention_of_attacked_and_clean_images() -> None:
    tower, tuned = build("gelu"), build("gelu")
    tuned.proj = nn.Parameter(2 * torch.randn_like(tuned.proj))  # type: ignore[arg-type]
    images, labels = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    goal = tga(tower, text(), attacked_weight=0.08, clean_weight=0.05)
    assert goal.guidance is not None
    guidance = goal.guidance(images, labels)
    with shared_tokens(tower) as found:
        tower(normalise(images))
        tower(normalise(1 - images))
    clean, other = found
    assert torch.equal(guidance(clean, clean), torch.zeros(2))
    far, near = guidance(other, clean), guidance(clean, other)
    assert torch.allclose(far / near, torch.full((2,), 0.08 / 0.05))
    maps = [text_attention(t, text()[labels], (32, 32)) for t in (other, clean)]
    assert torch.allclose(far, 0.08 * (maps[0] - maps[1]).flatten(1).norm(dim=1))
    with shared_tokens(tuned) as moved:  # a tower's own projection is held to the original's
        tuned(normalise(images))
    assert (guidance(clean, moved[0]) > 0).all()
    with pytest.raises(TypeError, match="TGA needs patch tokens"), shared_tokens(build("average")):
        pass
    with pytest.raises(ValueError, match="norm_axis: got 'rows'; allowed: tokens, width"):
        tga(tower, text(), norm_axis="rows")  # type: ignore[arg-type]


class Pixels(nn.Module):
    """A tower whose embeddings are its pixels, so that a loss sees what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.scale * inputs.flatten(1)


NO_SCALING = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def test_the_attack_inside_training(tmp_path: Path) -> None:
    """Uniform start within eps, signed steps of the given size, on the loss of each image."""
    seen: list[tuple[Tensor, Tensor, list[Tensor]]] = []

    def loss(images: Tensor, labels: Tensor) -> RobustLoss:
        given: list[Tensor] = []
        seen.append((images, labels, given))

        def rising(embedding: Tensor) -> Tensor:
            given.append(embedding.detach().reshape(images.shape))
            return embedding.sum(dim=1)

        return rising

    def middle(first: int) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in batches(first):
            yield 0.2 + 0.6 * images, labels + first

    schedule = Schedule(steps=2, warmup=0, lr=1e-9, weight_decay=0.0, optimiser="sgd")
    attack = InnerAttack(eps=0.1, steps=2, step=0.03)
    finetune(
        "seen", Pixels(), Objective(loss), middle, attack, schedule, tmp_path,
        Accelerator(cpu=True), **NO_SCALING,
    )  # type: ignore[arg-type]  # fmt: skip
    starts = []
    for (images, labels, given), (wanted, truth) in zip(seen, middle(0), strict=False):
        assert torch.equal(images, wanted)
        assert torch.equal(labels, truth)
        start, once, twice = (points - images for points in given)
        assert float(start.abs().max()) <= 0.1 + 1e-6
        assert float(start.std()) == pytest.approx(0.2 / 12**0.5, rel=0.05)  # uniform
        assert torch.allclose(once, (start + 0.03).clamp(max=0.1), atol=1e-6)
        assert torch.allclose(twice, (start + 0.06).clamp(max=0.1), atol=1e-6)
        starts.append(start)
    assert len(starts) == 2
    assert not torch.allclose(starts[0], starts[1], atol=1e-3)


def test_the_rate_warms_up_to_its_peak_and_falls_along_half_a_cosine() -> None:
    schedule = Schedule(steps=30, warmup=10, lr=1.0, weight_decay=0.0, floor=0.05)
    rates = [schedule.rate(step) for step in range(30)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == pytest.approx(1)
    assert rates[20] == pytest.approx(0.5)
    assert rates[25] == pytest.approx(0.5 * (1 - 0.5**0.5))
    assert rates[29] == pytest.approx(0.05)
    assert Schedule(steps=4, warmup=0, lr=2.0, weight_decay=0.0).rate(0) == 2
    for change, message in (
        ({"warmup": 30}, "warmup: got 30; allowed: 0 to 29"),
        ({"optimiser": "adam"}, "optimiser: got 'adam'; allowed: adamw, sgd"),
        ({"decay": "none"}, "decay: got 'none'; allowed: weights, all"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(schedule, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["hf-clip", "hf-clip-projection", "hf-siglip", "average"])
def test_fare_trains_every_kind_of_tower(name: str, tmp_path: Path) -> None:
    tower = build(name)
    before = {key: value.clone() for key, value in tower.state_dict().items()}
    finetune(
        "fare", tower, fare(build(name)), batches, ATTACK, SCHEDULE, tmp_path, Accelerator(cpu=True)
    )
    patches = next(key for key in before if "patch_embedding.weight" in key or "conv1" in key)
    assert not torch.equal(tower.state_dict()[patches], before[patches])


@pytest.mark.parametrize("method", ["fare", "tecoa", "tga"])
def test_mixed_precision_trains_with_losses_in_single_and_leaves_a_bare_tower(
    method: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    types: list[tuple[torch.dtype, torch.dtype]] = []
    goal = objective(method)

    def watched(images: Tensor, labels: Tensor) -> RobustLoss:
        loss = goal.loss(images, labels)

        def note(embedding: Tensor) -> Tensor:
            found = loss(embedding)
            types.append((embedding.dtype, found.dtype))
            product = embedding @ embedding.T
            types.append((product.dtype, product.dtype))
            return found

        return note

    AcceleratorState._reset_state(True)  # a process has one precision, here for this test
    request.addfinalizer(partial(AcceleratorState._reset_state, True))
    tower = build("gelu")
    finetune(
        method, tower, Objective(watched, goal.guidance), batches, ATTACK, SCHEDULE, tmp_path,
        Accelerator(cpu=True, mixed_precision="bf16"),
    )  # fmt: skip
    assert set(types) == {(torch.float32, torch.float32)}
    inputs = normalise(torch.rand(2, 3, 32, 32))
    adapted = adapt(tower, extract_anchor(tower), alpha=1.0, cutoff=None)
    assert not torch.allclose(adapted(inputs), tower(inputs), atol=1e-3)
    fresh = build("gelu")
    fresh.load_state_dict(tower.requires_grad_(False).state_dict())
    assert torch.equal(fresh(inputs), tower(inputs))  # no autocast is left on it


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


def test_a_killed_run_goes_on_with_dropout_too(tmp_path: Path) -> None:
    """Each part has its own stream of noise; the attack sees the tower without dropout."""

    def run(out: str, stop: int | None = None) -> nn.Module:
        tower = open_clip_tower(patch_dropout=0.5)
        tower.load_state_dict(build("gelu").state_dict())
        return finetune(
            "fare", tower, fare(build("gelu")), lambda first: batches(first, stop), ATTACK,
            replace(SCHEDULE, steps=40), tmp_path / out, Accelerator(cpu=True),
            checkpoint_seconds=0,
        )  # fmt: skip

    whole = run("whole")
    with pytest.raises(Stop):
        run("cut", stop=30)
    resumed = run("cut").state_dict()
    assert all(torch.equal(resumed[name], value) for name, value in whole.state_dict().items())
    with pytest.raises(TypeError, match="drops some"), shared_tokens(whole):
        pass


def test_a_row_that_was_cut_short_is_written_again(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, steps=60)
    trained("fare", tmp_path, schedule, checkpoint_seconds=0)
    log = tmp_path / "fare.csv"
    whole = log.read_text().splitlines()
    log.write_text("\n".join([*whole[:3], "6"]))  # of 60
    with pytest.raises(Stop):  # nothing is left to do, and nothing is asked for
        finetune(
            "fare", build("gelu"), objective("fare"), lambda first: batches(first, first), ATTACK,
            replace(schedule, steps=60), tmp_path, Accelerator(cpu=True),
        )  # fmt: skip
        raise Stop
    assert log.read_text().splitlines() == whole[:3]


def test_accumulation_is_the_schedules_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="accelerate accumulates over 4 steps"):
        finetune(
            "fare", build("gelu"), objective("fare"), batches, ATTACK, SCHEDULE, tmp_path,
            Accelerator(cpu=True, gradient_accumulation_steps=4),
        )  # fmt: skip


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    trained("fare", tmp_path)
    trained("fare", tmp_path)  # finished: nothing to do
    for change in ({"seed": 1}, {"identity": "another tower"}):
        with pytest.raises(ValueError, match=r"fare\.pt: is the checkpoint of a run with"):
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
    train_shared.train(tmp_path / "1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        store = free.getsockname()[1]
    ranks = [
        forked.process(train_shared.train_as, rank, 2, store, tmp_path / "2") for rank in (0, 1)
    ]
    for rank in ranks:
        rank.daemon = True  # where its partner has failed it waits in vain
        rank.start()
    for rank in ranks:
        rank.join(600)
        assert rank.exitcode == 0
    one, two = (
        torch.load(tmp_path / f"{n}" / "tga.pt", weights_only=True)["module"] for n in (1, 2)
    )
    start = build("gelu").state_dict()
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=2e-5), name
        assert not torch.equal(value, start[name])
