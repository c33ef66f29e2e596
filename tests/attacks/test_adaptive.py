"""Attacks that know the defence: its filter, its embedding, its parts, its scale."""

import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import length
from bench.attacks.losses import cross_entropy, rescaled_cross_entropy
from bench.attacks.spectrum import Spectrum
from bench.core.errors import CellError
from bench.core.types import Budget, Mode, Norm
from bench.models.zero_shot import ZeroShotClassifier
from bench.results.attack_summary import settings
from bench.suite.specs import ApgdCe, ApgdDlr, ApgdEmbedding
from bench.suite.specs.adaptive import Filter
from radapt.filters import GaussianFilter
from tests.conftest import LinearModel, grey_images

FILTERS = {"band": Filter(cutoff=60), "inverse": Filter(cutoff=60, inverse=0.01)}
BOTH_NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


def noise(count: int, height: int = 8, width: int = 8) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def dense(cutoff: float, inverse: float | None, height: int, width: int) -> Tensor:
    """Return the operator on flattened images as a matrix, from sums of cosines alone."""
    limit = cutoff / 224
    columns = []
    for at in range(height * width):
        row, column = divmod(at, width)
        total = torch.zeros(height, width, dtype=torch.float64)
        for u in range(height):
            for v in range(width):
                f, g = min(u, height - u) / height, min(v, width - v) / width
                gain = math.exp(-(f * f + g * g) / (2 * limit * limit))
                gain = gain / (gain * gain + inverse) if inverse else gain
                y, x = torch.arange(height)[:, None] - row, torch.arange(width) - column
                phase = 2 * math.pi * (u * y / height + v * x / width)
                total += gain * torch.cos(phase.double()) / (height * width)
        columns.append(total.flatten())
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("inverse", [None, 0.01])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 7)])
def test_the_response_is_the_dense_one(inverse: float | None, height: int, width: int) -> None:
    gradients = noise(2, height, width)
    found = Spectrum(60, inverse).applied(gradients)
    matrix = dense(60, inverse, height, width)
    expected = (gradients.double().flatten(2) @ matrix.T).unflatten(2, (height, width))
    assert torch.allclose(found.double(), expected, atol=1e-5)


def test_the_band_is_that_of_radapt_s_filter() -> None:
    images = noise(2, 32, 32)
    filtered = GaussianFilter(40, clamp=None)(images)
    assert torch.allclose(Spectrum(40).applied(images), filtered, atol=1e-5)


def test_the_inverse_takes_the_filter_out_of_a_gradient() -> None:
    behind = noise(1, 16, 16)  # a loss's gradient with respect to what the filter lets through
    images = torch.zeros_like(behind).requires_grad_()
    (GaussianFilter(100, clamp=None)(images) * behind).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    before = (images.grad - behind).norm() / behind.norm()
    restored = Spectrum(100, 1e-6).applied(images.grad)
    assert float(before) > 0.3
    assert float((restored - behind).norm() / behind.norm()) < 0.02


@BOTH_NORMS
@pytest.mark.parametrize("name", FILTERS)
def test_steps_have_length_one_and_zero_stays_zero(name: str, norm: Norm) -> None:
    spectrum = Spectrum(FILTERS[name].cutoff, FILTERS[name].inverse)
    assert torch.allclose(length(spectrum.steepest(noise(4), norm), norm), torch.ones(4))
    assert not spectrum.steepest(torch.zeros(1, 3, 8, 8), norm).any()


def test_steps_in_the_band_have_no_other_frequencies() -> None:
    step = Spectrum(20).steepest(noise(4, 32, 32), "linf")
    power = torch.fft.rfft2(step).abs() ** 2
    frequency = torch.fft.fftfreq(32)[:, None] ** 2 + torch.fft.rfftfreq(32) ** 2
    outside = frequency.sqrt() > 4 * 20 / 224  # where the filter passes exp(-8)
    assert float(power[..., outside].sum() / power.sum()) < 1e-5


@BOTH_NORMS
@pytest.mark.parametrize("mode", ["success", "full"])
@pytest.mark.parametrize("name", FILTERS)
def test_attacks_stay_in_the_ball_and_the_box_and_raise_the_loss(
    name: str, norm: Norm, mode: Mode
) -> None:
    model, eps = LinearModel(classes=4), 0.2 if norm == "linf" else 2.0
    images = torch.cat([grey_images(10) - 0.45, grey_images(10, seed=2) + 0.45]).clamp(0, 1)
    labels = model(images).argmax(dim=1)
    attack = build_attack(
        ApgdCe(kind="apgd-ce", eps=("1",), steps=10, filter=FILTERS[name]), batch=7
    )
    found = attack(model, images, labels, Budget(eps, norm), mode=mode, seeds=range(20))
    assert float(length(found - images, norm).max()) <= eps + 1e-6
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    before, after = (F.cross_entropy(model(at), labels, reduction="none") for at in (images, found))
    assert bool((after > before).all())


@pytest.mark.parametrize("name", FILTERS)
def test_an_image_depends_on_itself_alone(name: str) -> None:
    model, images = LinearModel(classes=4), grey_images(12)
    labels = model(images).argmax(dim=1)
    spec = ApgdCe(kind="apgd-ce", eps=("1",), steps=8, filter=FILTERS[name])
    budget = Budget(float(model.smallest_eps(images).median()))
    together = build_attack(spec, batch=12)(
        model, images, labels, budget, mode="full", seeds=range(12)
    )
    order = torch.tensor([7, 2, 11])
    apart = build_attack(spec, batch=2)(
        model, images[order], labels[order], budget, mode="full", seeds=order.tolist()
    )
    assert torch.allclose(apart, together[order], atol=1e-6)


class Waves:
    """Embeds an image by sines of random projections: bounded, smooth, with gradients anywhere."""

    logit_scale = 20.0

    def __init__(self, seed: int = 5) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(3 * 8 * 8, 6, generator=generator)

    def encode_image(self, images: Tensor) -> Tensor:
        return (images.flatten(1) @ self.weight).sin() + 0.1

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        raise NotImplementedError


def waves(seed: int = 5) -> ZeroShotClassifier:
    head = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
    return ZeroShotClassifier(Waves(seed), F.normalize(head, dim=0))


def drift(model: ZeroShotClassifier, points: Tensor, images: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(model.embed(points), model.embed(images))


@pytest.mark.parametrize("restarts", [1, 3])
def test_embeddings_are_pushed_away_from_those_of_the_clean_images(restarts: int) -> None:
    model, images, budget = waves(), grey_images(20), Budget(0.01)
    labels = model(images).argmax(dim=1)
    spec = ApgdEmbedding(kind="apgd-embedding", eps=("1",), steps=20, restarts=restarts)
    moved = []
    for steps in (1, 20):
        attack = build_attack(spec.model_copy(update={"steps": steps}), batch=7)
        found = attack(model, images, labels, budget, mode="full", seeds=range(20))
        assert float(length(found - images, "linf").max()) <= 0.01 + 1e-6
        moved.append(drift(model, found, images))
    by_chance = images + 0.01 * (2 * torch.rand_like(images) - 1)
    assert float(moved[1].mean()) > 2 * float(drift(model, by_chance, images).mean())
    assert bool((moved[1] >= moved[0] - 1e-6).all()) or restarts > 1  # those go by the margin
    assert float(moved[1].mean()) > float(moved[0].mean())


def test_tables_of_settings_tell_adaptive_attacks_from_plain_ones() -> None:
    plain = ApgdCe(kind="apgd-ce", eps=("1",))
    adapted = plain.model_copy(update={"filter": FILTERS["band"], "rescale": True})
    assert settings(plain)["attacks"] == "apgd-ce"
    assert settings(adapted)["attacks"] == "apgd-ce(filter rescale)"


def test_an_embedding_s_loss_needs_no_labels_but_success_does() -> None:
    model, images = waves(), grey_images(20)
    labels = model(images).argmax(dim=1)
    spec = ApgdEmbedding(kind="apgd-embedding", eps=("1",), steps=10)
    attack = build_attack(spec, batch=7)
    right = attack(model, images, labels, Budget(0.02), mode="full", seeds=range(20))
    other = attack(model, images, (labels + 1) % 4, Budget(0.02), mode="full", seeds=range(20))
    assert torch.equal(right, other)
    wrong = attack(model, images, (labels + 1) % 4, Budget(0.02), mode="success", seeds=range(20))
    assert torch.equal(wrong, images)
    broken = attack(model, images, labels, Budget(0.02), mode="success", seeds=range(20))
    assert bool((model(broken).argmax(dim=1) != labels).any())


def test_a_model_that_hides_its_embeddings_is_told(linear: LinearModel) -> None:
    attack = build_attack(ApgdEmbedding(kind="apgd-embedding", eps=("1",)), batch=4)
    with pytest.raises(
        CellError, match="needs image embeddings, but the attacked model only returns logits"
    ):
        attack(
            linear, grey_images(2), torch.zeros(2).long(), Budget(0.1), mode="full", seeds=(0, 1)
        )


def test_rescaled_logits_do_not_saturate() -> None:
    labels = torch.tensor([0, 0])
    logits = torch.tensor([[3.0, 1.0, 0.0], [1.0, 2.0, 0.0]])
    for scale in (1.0, 1e4):
        scaled = (scale * logits).requires_grad_()
        loss = rescaled_cross_entropy(scaled, labels, labels)
        assert torch.allclose(loss, rescaled_cross_entropy(logits, labels, labels))
        (gradient,) = torch.autograd.grad(loss.sum(), scaled)
        assert bool((scale * gradient).abs().amax(dim=1).gt(0.1).all())
    saturated = (1e4 * logits).requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(saturated, labels, labels).sum(), saturated)
    assert not gradient[0].any()  # the loss of an image that is right is zero, and flat


def test_rescaling_brings_down_what_large_logits_hold_up() -> None:
    model = waves()
    model.model.logit_scale = 1e5
    images = grey_images(30)
    labels = model(images).argmax(dim=1)

    def standing(spec: ApgdCe | ApgdDlr) -> int:
        attack = build_attack(spec, batch=30)
        found = attack(model, images, labels, Budget(0.008), mode="success", seeds=range(30))
        return int((model(found).argmax(dim=1) == labels).sum())

    plain, rescaled = (
        standing(ApgdCe(kind="apgd-ce", eps=("1",), steps=20, rescale=rescale))
        for rescale in (False, True)
    )
    assert rescaled <= plain - 5
    assert abs(rescaled - standing(ApgdDlr(kind="apgd-dlr", eps=("1",), steps=20))) <= 3
