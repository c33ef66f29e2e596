"""Each test-time defence against a computation of its own, and without strength."""

import io
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from radapt import GaussianFilter
from radapt.defences.anti_adversary import AntiAdversary
from radapt.defences.bit_depth import BitDepth
from radapt.defences.clipure_cos import ClipureCos
from radapt.defences.csr import Csr
from radapt.defences.defence import Base, Defence, Defended, ImageDefence
from radapt.defences.gaussian_blur import GaussianBlur
from radapt.defences.geodesic_correction import GeodesicCorrection
from radapt.defences.jpeg import Jpeg
from radapt.defences.median_blur import MedianBlur
from radapt.defences.noise_smoothing import NoiseSmoothing
from radapt.defences.perspective import homography, random_perspective, warp
from radapt.defences.resize_pad import ResizePad
from radapt.defences.transform_ensemble import TransformEnsemble
from radapt.defences.ttc import Ttc

SHAPE = (3, 3, 12, 10)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


IMAGES = drawn(*SHAPE)
WEIGHT = drawn(360, 6, seed=1) - 0.5


def embed(images: Tensor) -> Tensor:
    """A smooth model of any image size: a linear map of pixels at 12 x 10, and a tanh."""
    return torch.tanh(F.interpolate(images, (12, 10)).flatten(1) @ WEIGHT / 4) + 0.1


def embed_texts(texts: object) -> Tensor:
    return drawn(len(list(texts)), 6, seed=2) - 0.5  # type: ignore[call-overload]


CLASSES = F.normalize(drawn(6, 4, seed=3) - 0.5, dim=0)
BASE = Base(embed, embed_texts, CLASSES, logit_scale=10.0)


@pytest.mark.parametrize(
    "defence",
    [
        GaussianBlur(kernel=1),
        MedianBlur(kernel=1),
        BitDepth(bits=40),
        ResizePad(smallest=1, largest=1),
        NoiseSmoothing(sigma=0, draws=2),
        Ttc(eps=0),
        AntiAdversary(steps=0),
        ClipureCos(steps=0),
        Csr(steps=0),
        Csr(threshold=-1.1),
        TransformEnsemble(flip=False, crops=2, pad=0),
        GeodesicCorrection(views=2, distortion=0),
    ],
    ids=lambda defence: type(defence).__name__,
)
def test_without_strength_a_defence_is_its_base(defence: Defence) -> None:
    found = F.normalize(Defended(defence, BASE)(IMAGES), dim=1)
    assert torch.allclose(found, BASE.unit(IMAGES), atol=1e-6)


def changed(defence: ImageDefence) -> Tensor:
    found = defence.change(BASE, IMAGES)
    assert found.shape == IMAGES.shape
    return found


def test_gaussian_blur_is_scipys() -> None:
    expected = ndimage.gaussian_filter(
        IMAGES.numpy(), (0, 0, 1.3, 1.3), mode="mirror", truncate=2 / 1.3
    )
    assert np.allclose(changed(GaussianBlur(kernel=5, sigma=1.3)), expected)


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_median_blur_is_scipys(kernel: int) -> None:
    expected = ndimage.median_filter(IMAGES.numpy(), (1, 1, kernel, kernel), mode="nearest")
    assert np.array_equal(changed(MedianBlur(kernel)), expected)


def test_bit_depth_rounds_to_the_nearest_level() -> None:
    levels = np.arange(8) / 7
    nearest = np.abs(IMAGES.numpy()[..., None] - levels).argmin(axis=-1)
    assert np.allclose(changed(BitDepth(bits=3)), levels[nearest])


def test_jpeg_is_pillows() -> None:
    pixels = np.round(IMAGES[1].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(pixels).save(file := io.BytesIO(), "JPEG", quality=50)
    expected = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
    assert np.allclose(changed(Jpeg(quality=50))[1], expected)


def test_resized_images_lie_somewhere_on_the_padding() -> None:
    torch.manual_seed(0)
    defence = ResizePad(smallest=2, largest=3, fill=-1)
    found = defence.change(BASE, IMAGES)
    assert found.shape == (3, 3, 36, 30)
    sizes = set()
    for image, given in zip(found, IMAGES, strict=True):
        rows, columns = ((image[0] >= 0).any(dim=axis).nonzero() for axis in (1, 0))
        inner = image[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        sizes.add(tuple(inner.shape[1:]))
        assert torch.equal(inner, F.interpolate(given[None], inner.shape[1:])[0])
        assert int((image < 0).sum()) == image.numel() - inner.numel()
    assert len(sizes) > 1, "each image has its own size"


def test_noise_smoothing_averages_unit_embeddings() -> None:
    defence = NoiseSmoothing(sigma=0.2, draws=3)
    torch.manual_seed(5)
    found = defence.embed(BASE, IMAGES)
    torch.manual_seed(5)
    noise = 0.2 * torch.randn(9, 3, 12, 10, dtype=torch.float64)
    for place, image in enumerate(IMAGES):
        copies = embed(image + noise[3 * place : 3 * place + 3])
        assert torch.allclose(found[place], (copies / copies.norm(dim=1)[:, None]).mean(dim=0))


@pytest.mark.parametrize("threshold", [0.0, 100.0])
def test_ttc_is_the_papers_formula(threshold: float) -> None:
    """With a linear model the gradient has a closed form: 2 W W' d for the change d."""
    matrix = WEIGHT.numpy()
    defence = Ttc(eps=0.1, step=0.03, steps=3, threshold=threshold, beta=0.7)
    torch.manual_seed(1)
    found = defence.change(Base(lambda images: images.flatten(1) @ WEIGHT), IMAGES)
    torch.manual_seed(1)
    start = 0.1 * (2 * torch.rand(SHAPE, dtype=torch.float64) - 1).flatten(1).numpy()
    flat = IMAGES.flatten(1).numpy()
    moves = [np.clip(flat + start, 0, 1) - flat]
    for _ in range(3):
        uphill = np.sign(moves[-1] @ matrix @ matrix.T)
        moved = np.clip(moves[-1] + 0.03 * uphill, -0.1, 0.1)
        moves.append(np.clip(flat + moved, 0, 1) - flat)
    weights = np.exp(0.7 * np.arange(4))
    mean = sum(w * move for w, move in zip(weights / weights.sum(), moves, strict=True))
    expected = flat + (mean if threshold else moves[0])
    assert np.allclose(found.flatten(1), expected)


@pytest.mark.parametrize("gate", [None, lambda images: embed(0.5 - images**3)])
def test_ttc_counterattacks_falsely_stable_images_alone(
    gate: Callable[[Tensor], Tensor] | None,
) -> None:
    torch.manual_seed(1)
    images, seen = IMAGES, gate or embed
    start = changed(Ttc(eps=0.1, steps=1, threshold=0)) - images
    ratio = (seen(images + start) - seen(images)).norm(dim=1) / seen(images).norm(dim=1)
    between = float(ratio.sort().values[:2].mean())  # one image is below
    torch.manual_seed(1)
    found = changed(Ttc(eps=0.1, steps=1, threshold=between, gate=gate)) - images
    same = torch.isclose(found, start).flatten(1).all(dim=1)
    assert torch.equal(same, ratio > between)
    if gate:
        torch.manual_seed(1)
        own = changed(Ttc(eps=0.1, steps=1, threshold=between)) - images
        assert not torch.allclose(own, found), "the base says otherwise"


def test_anti_adversary_raises_the_confidence_in_the_prediction() -> None:
    found = changed(AntiAdversary(steps=3, step=0.01))
    for image, result in zip(IMAGES, found, strict=True):
        predicted = int(BASE.logits(image[None]).argmax())
        point = image[None].clone()
        for _ in range(3):
            point.requires_grad_()
            F.log_softmax(BASE.logits(point), dim=1)[0, predicted].backward()  # type: ignore[no-untyped-call]
            assert point.grad is not None
            point = (point + 0.01 * point.grad.sign()).detach()
        assert torch.allclose(result, point[0])
    with pytest.raises(ValueError, match="needs the classes"):
        AntiAdversary().change(Base(embed), IMAGES)


def test_clipure_follows_the_gradient_of_the_cosine() -> None:
    texts = F.normalize(embed_texts(["", ""]), dim=1)
    target = texts.mean(dim=0)
    found = ClipureCos(steps=3, step=0.4, prompts=("a {c}", "b {c}")).embed(BASE, IMAGES)
    for embedding, result in zip(embed(IMAGES), found, strict=True):
        length = embedding.norm()
        unit = embedding / length
        for _ in range(3):
            given = (length * unit).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cosine_similarity(given, target, dim=0), given)
            unit = unit + 0.4 * gradient / gradient.norm()
            unit = unit / unit.norm()
        assert torch.allclose(result, length * unit)
    with pytest.raises(ValueError, match="text encoder"):
        ClipureCos().embed(Base(embed), IMAGES)


@pytest.mark.parametrize(("cosine", "same"), [(0.3, True), (0.04, True), (0.02, False)])
def test_clipure_with_the_public_step_size_comes_back(cosine: float, same: bool) -> None:
    """Each step turns by atan(30) = 88.1 degrees, so ten steps end where they began.

    Only if the angle with the prompt is larger than a step, the first step does not pass the
    prompt; the embedding then ends on the other side, at the angle that is left of a step.
    """
    target = torch.eye(2).double()
    given = torch.tensor([[cosine, math.sqrt(1 - cosine**2)]]).double()
    found = ClipureCos().embed(Base(lambda images: given, lambda texts: target[:1]), IMAGES)
    angle, step = math.acos(cosine), math.atan(30)
    back = angle if angle < step else angle - 2 * step
    assert torch.allclose(found, torch.tensor([[math.cos(back), math.sin(back)]]).double())
    assert torch.allclose(found, given) == same


def test_csr_keeps_the_best_point_of_its_ascent() -> None:
    defence = Csr(cutoff=2, cutoff_at=None, threshold=1.1, steps=4, step=0.2, eps=0.3)
    found = changed(defence)
    bests = []
    for image, result in zip(IMAGES, found, strict=True):
        smooth = GaussianFilter(2, at=None)(image[None])
        aim = BASE.unit(smooth) - BASE.unit(image[None])
        point, tried = image[None].clone(), []
        for _ in range(5):
            point.requires_grad_()
            value = (BASE.unit(point) * aim).sum()
            tried.append((value.item(), len(tried), point.detach()))
            (gradient,) = torch.autograd.grad(value, point)
            point = point.detach() + 0.2 * gradient.sign()
            point = torch.clamp(point, image - 0.3, image + 0.3).clamp(0, 1)
        _, best, point = max(tried, key=lambda each: each[0])
        bests.append(best)
        assert torch.allclose(result, point[0])
    assert 0 not in bests and len(set(bests)) > 1, "some last points are worse than earlier ones"


def test_csr_rectifies_only_images_that_the_filter_changes() -> None:
    smooth = GaussianFilter(2, at=None)(IMAGES)
    cosine = (BASE.unit(smooth) * BASE.unit(IMAGES)).sum(dim=1)
    between = float(cosine.sort().values[:2].mean())
    found = changed(Csr(cutoff=2, cutoff_at=None, threshold=between))
    same = (found == IMAGES).flatten(1).all(dim=1)
    assert torch.equal(same, cosine >= between)


def test_transform_ensemble_averages_its_views() -> None:
    defence = TransformEnsemble(crops=3, pad=2, seed=1)
    views = defence.views(IMAGES)
    assert views.shape == (8, *SHAPE)
    both = torch.stack([IMAGES, IMAGES.flip(-1)])
    assert torch.equal(views[:2], both)
    padded = F.pad(both, (2, 2, 2, 2))
    places = [(y, x) for y in range(4) for x in range(4)]
    crops = {place: padded[..., place[0] :, place[1] :][..., :12, :10] for place in places}
    found = {
        place
        for place, crop in crops.items()
        for at in (2, 4, 6)
        if torch.equal(views[at : at + 2], crop)
    }
    assert len(found) == 3, "each crop has its own place"
    units = torch.stack([BASE.unit(view) for view in views])
    assert torch.allclose(defence.embed(BASE, IMAGES), units.mean(dim=0))


def test_geodesic_correction_turns_by_beta_theta() -> None:
    defence = GeodesicCorrection(views=4, least=0.3, most=2.0, power=0.8)
    given = F.normalize(drawn(3, 6, seed=4) - 0.3, dim=1)
    views = F.normalize(drawn(3, 4, 6, seed=5), dim=2)
    found = defence.corrected(given, views).numpy()
    for x, some, result in zip(given.numpy(), views.numpy(), found, strict=True):
        odd = np.mean([1 - x @ view for view in some])
        pairs = [some[i] @ some[j] for i in range(4) for j in range(4) if i != j]
        beta = 0.3 + 1.7 * odd**0.8 * (np.mean(pairs) + 1) / 2
        anchor = some.mean(axis=0) / np.linalg.norm(some.mean(axis=0))
        theta = np.arccos(x @ anchor)
        # spherical interpolation at beta, beyond the anchor if beta is above 1
        turned = (np.sin((1 - beta) * theta) * x + np.sin(beta * theta) * anchor) / np.sin(theta)
        assert np.allclose(result, turned)


def test_perspectives_move_corners_inwards() -> None:
    here = torch.tensor([[[2.0, 1.0], [8.0, 0.0], [9.0, 10.0], [1.0, 11.0]]])
    there = torch.tensor([[[0.0, 0.0], [9.0, 0.0], [9.0, 11.0], [0.0, 11.0]]])
    matrix = homography(here, there)[0]
    for point, goal in zip(here[0].double(), there[0].double(), strict=True):
        mapped = matrix @ torch.cat([point, torch.ones(1)])
        assert torch.allclose(mapped[:2] / mapped[2], goal)
    right = torch.eye(3).double()[None] + torch.tensor([[0.0, 0, 1], [0, 0, 0], [0, 0, 0]])
    moved = warp(IMAGES[:1], right)  # each pixel shows its right neighbour, and the last is cut
    assert torch.allclose(moved[..., :-2], IMAGES[:1, ..., 1:-1])
    torch.manual_seed(0)
    first, second = random_perspective(IMAGES[:1].repeat(2, 1, 1, 1), 0.5)
    assert not torch.allclose(first, second, atol=0.1)
