"""The choice of target classes by MALT."""

import pytest
import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.targets import nearest_classes, wrong_classes
from bench.core.errors import CellError
from bench.core.types import Budget, Norm
from bench.models.batch_size import Batch
from bench.suite.specs import ApgdT

IMAGES = (torch.sin(torch.arange(36.0) * 1.7) * 0.4 + 0.5).view(3, 3, 2, 2)


class Planes:
    """Six classes, each a linear function; counts forward passes of gradients."""

    def __init__(self) -> None:
        at = torch.arange(72.0)
        sizes = torch.tensor([1.0, 3.0, 0.5, 2.0, 6.0, 1.0])
        self.weight = torch.sin(at * at * 0.11).view(6, 12) * sizes[:, None]
        self.bias = torch.tensor([6.0, 1.0, 6.0, 2.0, 0.0, 4.0])
        self.seen: list[int] = []

    def __call__(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            self.seen.append(len(images))
        return (images.flatten(1) - 0.3) @ self.weight.T + self.bias


def nearest(planes: Planes, norm: Norm = "linf", candidates: int = 4) -> list[list[int]]:
    labels = planes(IMAGES).argmax(dim=1)
    budget = Budget(0.1, norm)
    found = nearest_classes(
        planes, IMAGES, labels, budget, candidates=candidates, eot=1, batch=Batch(2)
    )
    return found.tolist()


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("linf", [[4, 2, 3, 5], [4, 2, 1, 5], [0, 5, 1, 3]]),
        ("l2", [[4, 2, 5, 3], [4, 1, 2, 5], [0, 5, 1, 3]]),
    ],
)
def test_the_order_is_the_authors(norm: Norm, expected: list[list[int]]) -> None:
    """The numbers are those of the authors' code (odeliamel/MALT, `get_k_best_target_classes`)."""
    planes = Planes()
    assert nearest(planes, norm) == expected
    assert planes.seen == [2, 1]  # one pass per image, whatever the number of classes
    likeliest = wrong_classes(planes(IMAGES), torch.tensor([0, 0, 2]), 4).tolist()
    assert likeliest == [[2, 5, 4, 3], [2, 1, 5, 4], [0, 5, 1, 3]]


def test_candidates_are_the_likeliest_and_all_if_there_are_fewer() -> None:
    planes = Planes()
    assert nearest(planes, candidates=2) == [[2, 5], [2, 1], [0, 5]]
    assert [len(classes) for classes in nearest(planes, candidates=100)] == [5, 5, 5]


def test_a_class_without_gradient_is_last() -> None:
    planes = Planes()
    planes.weight[4] = planes.weight[0]  # the first two images are of class 0
    planes.bias[4] = 5.9
    assert [classes[-1] for classes in nearest(planes)[:2]] == [4, 4]


def test_a_model_without_gradients_is_an_error() -> None:
    planes = Planes()

    def cut(images: Tensor) -> Tensor:
        return planes(images.detach())

    with pytest.raises(CellError, match="no gradient with respect to the images"):
        nearest_classes(
            cut, IMAGES, torch.zeros(3).long(), Budget(1), candidates=2, eot=1, batch=Batch(3)
        )


def test_targets_are_compared_once_for_all_runs() -> None:
    planes = Planes()
    labels = planes(IMAGES).argmax(dim=1)
    spec = ApgdT(kind="apgd-t", eps=("0",), steps=2, targets=3, targets_by="malt")
    attack = build_attack(spec, batch=3)
    attack(planes, IMAGES, labels, Budget(0.01), mode="full", seeds=range(3))
    assert planes.seen == [3] + [3] * 3 * 2  # the comparison, then three runs of two steps
    assert spec.gradients == 3 * 2 + 100
