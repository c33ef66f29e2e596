"""Images that `extract_anchor` refuses, since each would give a wrong anchor without a word."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.nano.nano_clip import build_clip
from radapt import extract_anchor


@pytest.fixture(scope="module")
def tower() -> nn.Module:
    visual: nn.Module = build_clip().visual
    return visual.eval()


WHITE = torch.ones(1, 3, 32, 32)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (255 * WHITE, "got values from 255 to 255; allowed: pixels from 0 to 1"),
        (WHITE - 1.5, "got values from -0.5 to -0.5"),
        (WHITE * torch.nan, "got values from nan to nan"),
        (WHITE.expand(2, -1, -1, -1), "got the shape (2, 3, 32, 32); allowed: one RGB image"),
        (WHITE[0], "got the shape (3, 32, 32)"),
        (WHITE[:, :1], "got the shape (1, 1, 32, 32)"),
        (WHITE[:, :, :0], "got the shape (1, 3, 0, 32)"),
    ],
)
def test_of_another_range_or_shape(tower: nn.Module, image: Tensor, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^image: got ") as caught:
        extract_anchor(tower, image)
    assert expected in str(caught.value)


@pytest.mark.parametrize("image", [WHITE.byte(), WHITE.long(), WHITE.bool(), np.ones((1, 3, 8, 8))])
def test_of_another_type(tower: nn.Module, image: Tensor) -> None:
    with pytest.raises(TypeError, match=r"^image: got .*; allowed: a tensor of floats in"):
        extract_anchor(tower, image)


def test_half_precision_is_read(tower: nn.Module) -> None:
    given = extract_anchor(tower, WHITE.half())
    assert torch.equal(given.value, extract_anchor(tower).value)
