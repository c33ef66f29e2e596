"""R-Adapt+: fitting moves only the anchor, helps, stops early and goes on after a kill."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radapt import Anchor, FitOptions, adapt, extract_anchor, fit_anchor
from radapt.fit import Epoch
from radapt.fit_task import FitTask, seeded
from radapt.normalisations import CLIP_MEAN, CLIP_STD
from radapt.objectives import tecoa_loss
from radapt.pgd import pgd, uniform_start
from radapt.tower import normalise
from tests.support.towers import build

QUICK = FitOptions(steps=3, epochs=15, batch=4, lr=0.02)


@pytest.fixture(scope="module")
def tower() -> nn.Module:
    return build("gelu")


def images(count: int = 8) -> Tensor:
    return torch.rand((count, 3, 32, 32), generator=torch.Generator().manual_seed(0))


def fit(tower: nn.Module, options: FitOptions = QUICK, **extra: object) -> Anchor:
    settings = {"start": extract_anchor(tower), "alpha": 0.8, "cutoff": 40, **extra}
    return fit_anchor(tower, images(), options=options, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("refresh", [False, True])
@pytest.mark.parametrize("loss", ["l2", "cosine", "ce"])
def test_fit_moves_only_the_anchor_and_helps(tower: nn.Module, loss: str, refresh: bool) -> None:
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    labels = torch.arange(8) % 3
    text = F.normalize(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)), dim=1)
    rows: list[Epoch] = []
    options = replace(QUICK, loss=loss, refresh=refresh)  # type: ignore[arg-type]
    fitted = fit(tower, options, labels=labels, text=text, report=rows.append)
    assert all(torch.equal(value, before[name]) for name, value in tower.state_dict().items())
    assert fitted.value.shape == (1, 17, 32)
    assert not fitted.value.requires_grad
    for words in ("fitted on 8 images", loss, "refreshed" if refresh else "static", "4/255"):
        assert words in fitted.origin
    assert [row.epoch for row in rows] == list(range(1, 16))
    assert rows[-1].loss < 0.8 * rows[0].loss


def test_fitted_anchor_brings_clean_images_home_too(tower: nn.Module) -> None:
    inputs = normalise(images())

    def distance(anchor: Anchor) -> float:
        adapted = adapt(tower, anchor, alpha=0.8, cutoff=40)
        return float((adapted(inputs) - tower(inputs)).square().sum())

    assert distance(fit(tower)) < 0.8 * distance(extract_anchor(tower))


class Killed(Exception):
    pass


@pytest.mark.parametrize("refresh", [False, True])
def test_a_killed_fit_goes_on_to_the_same_anchor(
    tower: nn.Module, refresh: bool, tmp_path: Path
) -> None:
    def die(row: Epoch) -> None:
        if row.epoch == 3:
            raise Killed

    options = replace(QUICK, epochs=6, held_out=0.25, refresh=refresh)
    whole = fit(tower, options)
    with pytest.raises(Killed):
        fit(tower, options, checkpoint=tmp_path / "fit.pt", report=die)
    rows: list[Epoch] = []
    resumed = fit(tower, options, checkpoint=tmp_path / "fit.pt", report=rows.append)
    assert [row.epoch for row in rows] == [3, 4, 5, 6]  # told of the third, but it was not kept
    assert torch.equal(resumed.value, whole.value)
    other = build("gelu")
    other.get_parameter("class_embedding").data[0] += 0.01
    for model, given, changed in (
        (tower, images(), replace(options, seed=1)),
        (other, images(), options),
        (tower, images().flip(0), options),
    ):
        with pytest.raises(ValueError, match=r"fit\.pt: the state of another fit"):
            fit_anchor(
                model, given, start=extract_anchor(tower), alpha=0.8, cutoff=40,
                options=changed, checkpoint=tmp_path / "fit.pt",
            )  # fmt: skip


def test_early_stopping_keeps_the_best_epoch(tower: nn.Module) -> None:
    """SGD with momentum overshoots here after its second epoch."""
    options = replace(QUICK, lr=0.05, optimiser="sgd", decay="constant", held_out=0.25, patience=3)
    rows: list[Epoch] = []
    fitted = fit(tower, options, report=rows.append)
    held = [row.held_out for row in rows if row.held_out is not None]
    best = held.index(min(held)) + 1
    assert len(rows) == best + 3 < options.epochs
    assert torch.equal(fitted.value, fit(tower, replace(options, epochs=best)).value)
    assert "fitted on 6 images" in fitted.origin


def task(tower: nn.Module, options: FitOptions) -> FitTask:
    anchor = extract_anchor(tower)
    adapted = adapt(tower, anchor, alpha=0.8, cutoff=40)
    text = F.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(1)), dim=1)
    labels = torch.arange(8)
    return FitTask(tower, adapted, images(), labels, text, options, CLIP_MEAN, CLIP_STD)


def test_a_crafted_image_is_pgd_on_its_own_loss_from_its_own_start(tower: nn.Module) -> None:
    options = replace(QUICK, loss="cosine", attack_loss="ce", eps=8 / 255, steps=4)
    fitted = task(tower, options)
    rows = torch.tensor([5, 2])
    clean = images()[rows]
    expected = pgd(
        lambda x: tecoa_loss(fitted.text, rows)(tower(normalise(x))),  # type: ignore[arg-type]
        clean, eps=8 / 255, step=2.5 * 8 / 255 / 4, steps=4,
        start=uniform_start(clean, 8 / 255, seeded(options.seed, 3, 1)),
    )  # fmt: skip
    found = fitted.craft(tower, rows, (3, 1))
    assert torch.equal(found, expected)
    assert float((found - clean).abs().max()) == pytest.approx(8 / 255, abs=1e-6)
    assert not torch.equal(fitted.craft(tower, rows, (3, 2)), found)


@pytest.mark.parametrize("refresh", [False, True])
def test_each_image_is_held_to_its_own_clean_embedding(tower: nn.Module, refresh: bool) -> None:
    fitted = task(tower, replace(QUICK, refresh=refresh))
    rows = torch.tensor([6, 0, 3])
    static = None if refresh else fitted.static()
    attacked = fitted.craft(fitted.adapted, rows, (1, 4)) if static is None else static[rows]
    moved = fitted.adapted(normalise(attacked)) - tower(normalise(images()[rows]))
    assert torch.allclose(fitted.loss(rows, static, (1, 4)), moved.square().sum(dim=1), rtol=1e-4)


def test_what_cannot_be_fitted_is_told(tower: nn.Module) -> None:
    for change, message in (
        ({"patience": 0, "held_out": 0.5}, "patience: got 0; allowed: 1 or more"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"patience": 2}, "patience: got 2; it needs held_out"),
        ({"held_out": 1.0}, "held_out: got 1"),
        ({"held_out": -0.5}, "held_out: got -0.5"),
        ({"eps": 4.0}, "eps: got 4; allowed: above 0 and at most 1"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(QUICK, **change)  # type: ignore[arg-type]
    for given in (images() * 255, (images() * 255).byte()):
        with pytest.raises(ValueError, match=r"images: got torch.*allowed: floats in \[0,1\]"):
            fit_anchor(tower, given, start=extract_anchor(tower), alpha=0.8, cutoff=40)
    with pytest.raises(ValueError, match=r"the loss of epoch 1 is (nan|inf); try a lower lr"):
        fit(tower, replace(QUICK, lr=1e38, optimiser="sgd", decay="constant"))
    with pytest.raises(ValueError, match="alpha: got 0"):
        fit(tower, alpha=0)
    for word in ("loss", "attack_loss", "optimiser", "decay"):
        with pytest.raises(ValueError, match=rf"{word}: got 'other'; allowed: "):
            replace(QUICK, **{word: "other"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="it needs labels and text"):
        fit(tower, replace(QUICK, attack_loss="ce"))


@pytest.mark.parametrize("content", [b"", b"cut", None])
def test_a_damaged_state_is_named_and_left_in_place(
    tower: nn.Module, content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "fit.pt"
    if content is None:
        torch.save([1, 2], path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"fit\.pt: damaged \(.+\); remove it to start again"):
        fit(tower, checkpoint=path)
    assert path.read_bytes() == before
