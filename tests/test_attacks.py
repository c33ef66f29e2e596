"""Native attacks and adapters against truth: a linear model with a known optimum."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.apgd import checkpoints
from bench.attacks.balls import draw, project
from bench.attacks.losses import margin
from bench.errors import CellError
from bench.specs import AnyAttack, ApgdCe, Cw, Pgd, PyAutoAttack, TorchAttacks
from bench.types import Budget
from tests.conftest import LinearModel, grey_images

EPS = "1/255"
ATTACKS: dict[str, AnyAttack] = {
    "pgd": Pgd(kind="pgd", eps=(EPS,), steps=20),
    "pgd-still": Pgd(kind="pgd", eps=(EPS,), steps=20, random_start=False),
    "cw": Cw(kind="cw", eps=(EPS,), steps=20),
    "apgd-ce": ApgdCe(kind="apgd-ce", eps=(EPS,), steps=20),
    "pyautoattack": PyAutoAttack(kind="pyautoattack", eps=(EPS,), steps=20, chunk=16),
    "torchattacks": TorchAttacks(
        kind="torchattacks", eps=(EPS,), args={"steps": 20, "alpha": 0.003}, chunk=16
    ),
}
NATIVE = ("pgd", "pgd-still", "cw", "apgd-ce")


def attack_with(
    spec: AnyAttack, model: LinearModel, eps: float, mode: str = "success", batch: int = 16
) -> tuple[Tensor, Tensor, Tensor]:
    images = grey_images(40)
    labels = model(images).argmax(dim=1)
    found = build_attack(spec, batch=batch)(
        model,
        images,
        labels,
        Budget(eps),
        mode=mode,
        seeds=range(40),  # type: ignore[arg-type]
    )
    return images, labels, project(found, images, Budget(eps))


@pytest.mark.parametrize("mode", ["success", "full"])
@pytest.mark.parametrize("name", ATTACKS)
def test_breaks_exactly_what_can_be_broken(linear: LinearModel, name: str, mode: str) -> None:
    """An image falls at 1% over its distance to the hyperplane, and none falls below it."""
    images = grey_images(40)
    distance = linear.smallest_eps(images)
    eps = float(distance.median())
    decided = (distance - eps).abs() > 0.01 * eps
    _, labels, found = attack_with(ATTACKS[name], linear, eps, mode)
    broken = linear(found).argmax(dim=1) != labels
    assert torch.equal(broken[decided], (distance < eps)[decided])


@pytest.mark.parametrize("name", ATTACKS)
def test_stays_in_the_ball_and_the_box(linear: LinearModel, name: str) -> None:
    eps = 0.2
    images = grey_images(40)
    dark = torch.cat([images[:20] - 0.45, images[20:] + 0.45]).clamp(0, 1)
    labels = linear(dark).argmax(dim=1)
    attack = build_attack(ATTACKS[name], batch=16)
    found = attack(linear, dark, labels, Budget(eps), mode="full", seeds=range(40))
    assert float((found - dark).abs().max()) <= eps + 1e-6
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


@pytest.mark.parametrize("mode", ["success", "full"])
@pytest.mark.parametrize("name", NATIVE)
def test_an_image_does_not_depend_on_its_neighbours(
    linear: LinearModel, name: str, mode: str
) -> None:
    eps = float(linear.smallest_eps(grey_images(40)).median())
    _, _, at_once = attack_with(ATTACKS[name], linear, eps, mode, batch=40)
    _, _, one_by_one = attack_with(ATTACKS[name], linear, eps, mode, batch=1)
    _, _, in_sevens = attack_with(ATTACKS[name], linear, eps, mode, batch=7)
    assert torch.allclose(at_once, one_by_one, atol=1e-6)
    assert torch.allclose(at_once, in_sevens, atol=1e-6)


@pytest.mark.parametrize("name", ATTACKS)
def test_same_seeds_same_images(linear: LinearModel, name: str) -> None:
    state = torch.random.get_rng_state()
    first, second = (attack_with(ATTACKS[name], linear, 0.01, "full")[2] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)  # the global stream is left alone


@pytest.mark.parametrize("name", NATIVE)
def test_success_leaves_wrong_images_alone_and_full_does_not(
    linear: LinearModel, name: str
) -> None:
    images = grey_images(10)
    wrong = 1 - linear(images).argmax(dim=1)
    attack = build_attack(ATTACKS[name], batch=4)
    budget = Budget(0.01)
    kept = attack(linear, images, wrong, budget, mode="success", seeds=range(10))
    assert torch.equal(kept, images)
    if name != "cw":  # a margin capped at 0 has no gradient where the image is wrong already
        moved = attack(linear, images, wrong, budget, mode="full", seeds=range(10))
        reach = (moved - images).abs().amax(dim=(1, 2, 3))
        assert torch.allclose(reach, torch.full_like(reach, 0.01), atol=1e-6)


def test_full_adapter_returns_no_clean_images(linear: LinearModel) -> None:
    """pyautoattack's evaluation would: it fakes robustness of whoever else is scored."""
    images, _, found = attack_with(ATTACKS["pyautoattack"], linear, 1e-5, "full")
    assert bool(((found - images).abs().amax(dim=(1, 2, 3)) > 0).all())


def test_adapter_equals_a_direct_call(linear: LinearModel) -> None:
    import torchattacks

    eps = float(linear.smallest_eps(grey_images(40)).median())
    one_chunk = ATTACKS["torchattacks"].model_copy(update={"chunk": 40})
    images, labels, found = attack_with(one_chunk, linear, eps, "full")

    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return linear(x)

    direct = torchattacks.PGD(Module().eval(), eps=eps, alpha=0.003, steps=20)
    direct.set_device("cpu")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = direct(images, labels)
    assert torch.equal(found, project(expected, images, Budget(eps)))


def test_wrong_arguments_of_an_adapter_are_told() -> None:
    with pytest.raises(ValidationError, match="PGD has no stepz; allowed: alpha, steps, random"):
        TorchAttacks(kind="torchattacks", eps=(EPS,), args={"stepz": 3})


def test_nan_logits_are_an_error() -> None:
    def broken(images: Tensor) -> Tensor:
        return torch.full((len(images), 2), torch.nan)

    images = grey_images(3)
    attack = build_attack(ATTACKS["pgd"], batch=4)
    with pytest.raises(CellError, match="NaN or infinite for 3 of 3"):
        attack(broken, images, torch.zeros(3).long(), Budget(0.1), mode="full", seeds=range(3))


def test_checkpoints_follow_the_paper() -> None:
    # Croce and Hein 2020, section 3.3: p = 0, 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


def test_margin_is_capped_and_ignores_the_true_class() -> None:
    logits = torch.tensor([[3.0, 1.0, -2.0], [-5.0, -1.0, -2.0]])
    labels = torch.tensor([0, 0])
    assert margin(0.0)(logits, labels, labels).tolist() == [-2.0, 0.0]
    assert margin(9.0)(logits, labels, labels).tolist() == [-2.0, 4.0]


def test_noise_is_uniform_and_seeded() -> None:
    noise = draw((3, 100, 100), 5, "linf")
    assert torch.equal(noise, draw((3, 100, 100), 5, "linf"))
    assert not torch.equal(noise, draw((3, 100, 100), 6, "linf"))
    assert float(noise.min()) < -0.99
    assert abs(float(noise.mean())) < 0.02
