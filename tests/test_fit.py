"""R-Adapt+: fitting moves only the anchor, helps, stops early and goes on after a kill."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radapt import Anchor, FitOptions, adapt, extract_anchor, fit_anchor
from radapt.fit import Epoch
from radapt.tower import normalise
from tests.towers import build

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
    assert [row.epoch for row in rows] == [4, 5, 6]
    assert torch.equal(resumed.value, whole.value)
    with pytest.raises(ValueError, match=r"fit\.pt: the state of another fit"):
        fit(tower, replace(options, seed=1), checkpoint=tmp_path / "fit.pt")


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


def test_what_cannot_be_fitted_is_told(tower: nn.Module) -> None:
    with pytest.raises(ValueError, match="alpha: got 0"):
        fit(tower, alpha=0)
    with pytest.raises(ValueError, match="it needs labels and text"):
        fit(tower, replace(QUICK, attack_loss="ce"))
