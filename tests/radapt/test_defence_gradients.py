"""Gradients through test-time defences, on the embedded CLIP in double precision."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.nano.nano_clip import load_clip
from radapt.defences.anti_adversary import AntiAdversary
from radapt.defences.clipure_cos import ClipureCos
from radapt.defences.csr import Csr
from radapt.defences.defence import Base, Defence, Defended, ImageDefence
from radapt.defences.gaussian_blur import GaussianBlur
from radapt.defences.geodesic_correction import GeodesicCorrection
from radapt.defences.jpeg import Jpeg
from radapt.defences.median_blur import MedianBlur
from radapt.defences.noise_smoothing import NoiseSmoothing
from radapt.defences.resize_pad import ResizePad
from radapt.defences.transform_ensemble import TransformEnsemble
from radapt.defences.ttc import Ttc
from radapt.tower import CLIP_MEAN, CLIP_STD, normalise

STEP = 1e-6
DIFFERENTIABLE: list[Defence] = [
    GaussianBlur(),
    MedianBlur(),
    ResizePad(),
    NoiseSmoothing(sigma=0.1, draws=2),
    Ttc(),
    AntiAdversary(),
    ClipureCos(steps=3, step=0.5),
    Csr(threshold=1.1),
    TransformEnsemble(crops=1),
    GeodesicCorrection(views=2),
]
CHANGES_IMAGES = [each for each in DIFFERENTIABLE if "identity" in each.gradients]


@pytest.fixture(scope="module")
def base() -> Base:
    clip = load_clip("clip").double().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    classes = torch.randn(128, 5, generator=generator, dtype=torch.float64)

    def embed(images: Tensor) -> Tensor:
        resized = F.interpolate(images, (32, 32), mode="bilinear")
        embeddings: Tensor = clip.visual(normalise(resized, CLIP_MEAN, CLIP_STD))
        return embeddings

    return Base(embed, lambda texts: classes.T[: len(texts)], F.normalize(classes, dim=0), 20.0)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand((2, 3, 32, 32), generator=generator, dtype=torch.float64) * 0.8 + 0.1


def named(defence: Defence) -> str:
    return type(defence).__name__


def gradient(model: Defended, points: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Return embeddings, and the gradient of their product with a direction."""
    torch.manual_seed(0)
    given = points.clone().requires_grad_()
    embeddings = model(given)
    (found,) = torch.autograd.grad((embeddings * direction).sum(), given)
    return embeddings.detach(), found


@pytest.mark.parametrize("defence", DIFFERENTIABLE, ids=named)
def test_exact_gradients_agree_with_finite_differences(
    defence: Defence, base: Base, images: Tensor
) -> None:
    model = Defended(defence, base, "exact")
    direction, along = torch.randn(2, 128).double(), torch.randn(2, 3, 32, 32).double()
    _, found = gradient(model, images, direction)
    values = []
    for sign in (1, -1):
        torch.manual_seed(0)
        with torch.no_grad():
            values.append(float((model(images + sign * STEP * along) * direction).sum()))
    slope = (values[0] - values[1]) / (2 * STEP)
    assert slope == pytest.approx(float((found * along).sum()), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("defence", [*DIFFERENTIABLE, Jpeg()], ids=named)
def test_values_do_not_depend_on_how_gradients_are_taken(
    defence: Defence, base: Base, images: Tensor
) -> None:
    found = []
    for way in defence.gradients:
        torch.manual_seed(0)
        found.append(Defended(defence, base, way)(images.clone().requires_grad_()).detach())
    torch.manual_seed(0)
    with torch.no_grad():
        plain = Defended(defence, base)(images)
    # attention takes another path without gradients, so the last bits differ
    assert all(torch.allclose(each, plain, rtol=1e-12, atol=1e-12) for each in found)


@pytest.mark.parametrize("defence", [*CHANGES_IMAGES, Jpeg()], ids=named)
def test_straight_through_is_the_bases_gradient_at_the_changed_image(
    defence: ImageDefence, base: Base, images: Tensor
) -> None:
    direction = torch.randn(2, 128).double()
    torch.manual_seed(0)
    changed = defence.change(base, images).requires_grad_()
    (expected,) = torch.autograd.grad((base.embed(changed) * direction).sum(), changed)
    assert torch.equal(
        gradient(Defended(defence, base, "identity"), images, direction)[1], expected
    )
    given = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad((base.embed(given) * direction).sum(), given)
    _, found = gradient(Defended(defence, base, "base"), images, direction)
    assert torch.equal(found, expected)


def test_a_way_that_a_defence_does_not_have_is_refused(base: Base) -> None:
    with pytest.raises(ValueError, match="got 'exact'; allowed for Jpeg: identity, base"):
        Defended(Jpeg(), base, "exact")
