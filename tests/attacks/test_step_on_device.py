"""A step of an attack copies nothing from the host, which would have to wait for a GPU.

The device `meta` stands for a GPU: what is computed there has no values that a host could read.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from bench.attacks.apgd import Apgd
from bench.attacks.ascent import Ascent
from bench.attacks.losses import cross_entropy
from bench.attacks.passes import evaluate
from bench.attacks.pgd import PgdAscent
from bench.core.types import Budget
from bench.models import ClipModel
from bench.models.batch_size import Batch
from bench.models.clip import Preprocessing
from bench.models.language.resizing import resize_bits
from bench.models.zero_shot import ZeroShotClassifier
from bench.suite.specs import Resize
from radapt import Anchor, adapt
from radapt.normalisations import CLIP_MEAN, CLIP_STD
from tests.support.towers import SIZE, build

META = torch.device("meta")


class HostCopies(TorchFunctionMode):
    """Collects the calls that make a tensor from a host's values or read one of the host's."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = tree_leaves((args, kwargs))
        host = any(isinstance(each, Tensor) and each.device != META for each in given)
        if host or function in (torch.tensor, torch.as_tensor, torch.from_numpy):
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


def classifier(size: int = SIZE, *, adapted: bool = False) -> ZeroShotClassifier:
    tower = build("gelu").requires_grad_(False)
    if adapted:
        value = torch.zeros(1, 17, 32)
        tower = adapt(tower, Anchor(value, "", (SIZE, SIZE), ""), alpha=1.0, cutoff=40)
    settings = Preprocessing((size, size), CLIP_MEAN, CLIP_STD, Resize())
    clip = ClipModel(tower.to(META), lambda texts: pytest.fail("no texts"), 100.0, settings)
    return ZeroShotClassifier(clip, torch.randn(16, 5, device=META))


@pytest.mark.parametrize(
    "ascent",
    [
        Apgd(10, 0.75),
        PgdAscent(10, 2.5, True, momentum=1.0, halve=(0.25, 0.5), keep_best=True),
    ],
)
def test_a_step_stays_on_the_device(ascent: Ascent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch, "autocast", lambda *args, **options: nullcontext()
    )  # `meta` has none
    budget, images = Budget(4 / 255), torch.rand(2, 3, SIZE, SIZE, device=META)
    labels = torch.zeros(2, dtype=torch.long, device=META)
    zero = torch.zeros_like(labels)
    state = {
        **ascent.begin(images, images, budget),
        **{"label": labels, "target": labels, "iteration": zero},
    }

    def step(model: ZeroShotClassifier) -> list[str]:
        with HostCopies() as copies:
            _, loss, gradient = evaluate(
                model, cross_entropy, dict(state), Batch(2), eot=1, backward=True
            )
            ascent.advance(dict(state), loss, gradient, budget)
        return copies.found

    for model in (classifier(), classifier(adapted=True)):
        step(model)  # constants that are cached may be copied once
        assert step(model) == []


def test_integer_resizing_stays_on_the_device() -> None:
    images = torch.rand(1, 3, 20, 30, device=META)
    resize_bits(images, (12, 12))
    with HostCopies() as copies:
        resize_bits(images, (12, 12))
    assert copies.found == []


def test_a_copy_from_the_host_is_seen() -> None:
    make: list[Callable[[], Tensor]] = [
        lambda: torch.tensor([1.0, 2.0], device=META),
        lambda: torch.tensor([1.0, 2.0]).to(META),
    ]
    for each in make:
        with HostCopies() as copies:
            each()
        assert copies.found
