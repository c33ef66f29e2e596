"""Gradients from elsewhere: the same model with parts taken out, or another."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.apgd import Apgd
from bench.attacks.engine import NativeAttack
from bench.attacks.losses import cross_entropy
from bench.attacks.surrogate import BpdaModel
from bench.attacks.transferred import FromTransfer
from bench.core.errors import CellError, SuiteError
from bench.core.resolved_names import Lock
from bench.core.types import Budget, CellResult, Mode
from bench.evaluate.cell import Evaluator
from bench.models import build_model
from bench.models.zero_shot import ZeroShotClassifier
from bench.plan.cells import Cell, expand
from bench.plan.resolve import resolve
from bench.store.results_folder import Store
from bench.suite.load import load_suite
from bench.suite.specs import AnyAttack, ApgdCe, Backward, NanoModel, Pgd
from bench.suite.specs.adaptive import Start
from tests.attacks.test_adaptive import Waves, waves
from tests.conftest import SMALL, grey_images

Write = Callable[..., Path]
CPU = torch.device("cpu")
APGD: dict[str, Any] = {"kind": "apgd-ce", "eps": ["4/255"], "steps": 10}
TAKEN_OUT = [{**APGD, "name": "open", "backward": {"without": ["filter", "anchor"]}}]


class Rounded:
    """Rounds images to so many levels in front of a model: no gradient comes through."""

    def __init__(self, model: Waves, levels: int = 255) -> None:
        self.model, self.levels = model, levels
        self.logit_scale = model.logit_scale

    def encode_image(self, images: Tensor) -> Tensor:
        return self.model.encode_image((images * self.levels).round() / self.levels)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return self.model.encode_text(texts)


def rounded_clip(device: torch.device) -> Rounded:
    """Return the embedded CLIP behind 8-bit rounding, as a suite names it."""
    clip = build_model(NanoModel(kind="nano", weights="clip"), device, lambda name: clip)
    return Rounded(clip)  # type: ignore[arg-type]


def test_outputs_are_the_model_s_and_gradients_the_surrogate_s() -> None:
    model, surrogate = waves(5), waves(6)
    both = BpdaModel(model, surrogate)
    images, weight = grey_images(4).requires_grad_(), torch.randn(4, 4)
    logits = both(images)
    assert torch.equal(logits, model(images))
    at = logits.detach().requires_grad_()
    (towards,) = torch.autograd.grad((at.softmax(1) * weight).sum(), at)
    (expected,) = torch.autograd.grad((surrogate(images) * towards).sum(), images)
    (found,) = torch.autograd.grad((logits.softmax(1) * weight).sum(), images)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)
    embeddings = both.embed(images)
    assert torch.equal(embeddings, model.embed(images))
    (found,) = torch.autograd.grad(embeddings[:, 0].sum(), images)
    (expected,) = torch.autograd.grad(surrogate.embed(images)[:, 0].sum(), images)
    assert torch.allclose(found, expected)


def test_embeddings_of_another_width_are_told() -> None:
    narrow = waves(6)
    narrow.model.weight = narrow.model.weight[:, :5]
    with pytest.raises(CellError, match="embeddings have 5 dimensions, the model's 6"):
        BpdaModel(waves(5), narrow).embed(grey_images(2).requires_grad_())


def test_rounding_stands_against_plain_gradients_and_falls_straight_through() -> None:
    base = waves()
    rounded = ZeroShotClassifier(Rounded(base.model), base.head)  # type: ignore[arg-type]
    images = grey_images(40)
    labels = rounded(images).argmax(dim=1)

    def standing(model: ZeroShotClassifier, spec: AnyAttack) -> int:
        attack = build_attack(spec, batch=16, surrogate=lambda _: base)
        found = attack(model, images, labels, Budget(0.012), mode="success", seeds=range(40))
        return int((model(found).argmax(dim=1) == labels).sum())

    plain = ApgdCe.model_validate(APGD)
    through = plain.model_copy(update={"backward": Backward(model="base")})
    assert standing(rounded, Pgd(kind="pgd", eps=("4/255",), steps=20)) > 25
    assert standing(rounded, plain) > 25
    assert standing(rounded, through) < 8
    assert abs(standing(rounded, through) - standing(base, plain)) <= 2  # as if nothing rounded


def test_a_run_from_transferred_points_breaks_a_model_without_gradients() -> None:
    """No step helps on the rounded model, so only the points of the other model can break it."""
    base = waves()
    rounded = ZeroShotClassifier(Rounded(base.model), base.head)  # type: ignore[arg-type]
    images = grey_images(40)
    labels = rounded(images).argmax(dim=1)

    def standing(spec: AnyAttack, mode: Mode) -> int:
        attack = build_attack(spec, batch=16, surrogate=lambda _: base)
        found = attack(rounded, images, labels, Budget(0.012), mode=mode, seeds=range(40))
        return int((rounded(found).argmax(dim=1) == labels).sum())

    plain = ApgdCe.model_validate(APGD)
    started = plain.model_copy(update={"start": Start(transfer="base")})
    assert started.gradients == 2 * plain.gradients
    assert standing(plain, "success") > 25
    assert standing(started, "success") < 8
    assert standing(started, "full") < 8


def test_a_run_from_transferred_points_starts_there_and_has_no_momentum() -> None:
    model, other, images, budget = waves(5), waves(6), grey_images(8), Budget(0.004)
    labels = model(images).argmax(dim=1)
    moving = NativeAttack(Apgd(8, 0.75), cross_entropy, 4)
    still = NativeAttack(Apgd(8, 0.75, momentum=0.0), cross_entropy, 4)
    starts = moving(other, images, labels, budget, mode="full", seeds=range(8))
    found = FromTransfer(moving, other)(model, images, labels, budget, mode="full", seeds=range(8))
    expected, wrong = (
        attack(model, images, labels, budget, mode="full", seeds=range(8), starts=starts)
        for attack in (still, moving)
    )
    assert torch.equal(found, expected)
    assert not torch.equal(found, wrong)


def results(path: Path, root: Path, **changes: Any) -> dict[tuple[str, str, str], CellResult]:
    suite = load_suite(path)
    lock, problems = resolve(suite)
    assert not problems
    evaluate = Evaluator(suite, lock, {}, Store(root, suite.suite), CPU, **changes)

    def key(cell: Cell) -> tuple[str, str, str]:
        threat = cell.threat.kind if cell.threat else ""
        return cell.target, threat, cell.attack.label if cell.attack else "clean"

    return {key(cell): evaluate(cell) for cell in expand(suite, lock)}


def test_a_suite_s_own_model_falls_through_one_that_it_names(
    suite_file: Write, tmp_path: Path
) -> None:
    own = {"kind": "python", "target": "tests.attacks.test_surrogates:rounded_clip"}
    path = suite_file(
        models={"CLIP": SMALL["models"]["CLIP"], "rounded": own},
        attacks=[APGD, {**APGD, "name": "through", "backward": {"model": "CLIP"}}],
        threats=["white-box"],
    )
    found = results(path, tmp_path, trust=True)
    through = found["rounded", "white-box", "through"]
    masked = found["rounded", "white-box", "apgd-ce"]
    assert masked.correct.sum() >= through.correct.sum() + 3
    assert through.queries > int(through.provenance["backwards"]) * 2  # both models are counted


def test_parts_of_r_adapt_are_taken_out_where_there_are_any(
    suite_file: Write, tmp_path: Path
) -> None:
    entries = [
        {**APGD, "name": "one", "backward": {"without": "filter"}},
        *TAKEN_OUT,
        {**APGD, "name": "base", "backward": {"model": "CLIP"}},
        {**APGD, "kind": "ensemble", "name": "both", "attacks": [
            {"kind": "apgd-ce", "steps": 3},
            {"kind": "apgd-embedding", "steps": 3, "backward": {"without": "anchor"}},
        ]},
    ]  # fmt: skip
    del entries[-1]["steps"]
    models = {name: SMALL["models"][name] for name in ("CLIP", "R-Adapt_CLIP")}
    found = results(suite_file(models=models, attacks=entries), tmp_path)
    for (model, threat, attack), result in found.items():
        crafted_on_clip = model == "CLIP" or threat == "transfer"
        if attack in ("one", "open") and crafted_on_clip:
            assert (result.status, result.reason) == (
                "skip",
                f"{attack} removes the {'filter' if attack == 'one' else 'anchor'} of R-Adapt, "
                "which a source model does not have",
            )
        else:
            assert result.status == "ok", result.reason
    assert "without=apgd-embedding" in found["CLIP", "white-box", "both"].flags
    assert not found["R-Adapt_CLIP", "white-box", "both"].flags
    # without both it is the base to the last bit
    taken_out, base = (found["R-Adapt_CLIP", "white-box", name] for name in ("open", "base"))
    assert taken_out.correct.tolist() == base.correct.tolist()
    assert taken_out.distance.tolist() == base.distance.tolist()


def craft_ids(path: Path) -> list[str]:
    lock = Lock({"CLIP": "c", "again": "c", "FARE": "f"})
    return [cell.craft_id for cell in expand(load_suite(path), lock) if cell.attack]


def test_identity_sees_what_a_surrogate_is_and_not_its_name(suite_file: Write) -> None:
    nano = {name: {"kind": "nano", "weights": "clip"} for name in ("CLIP", "again")}
    models = {**nano, "FARE": {"kind": "nano", "weights": "fare"}}

    def ids(**attack: Any) -> set[str]:
        entry = {**APGD, **attack}
        if "attacks" in attack:
            del entry["steps"]
        return set(craft_ids(suite_file(models=models, attacks=[entry], threats=["white-box"])))

    plain = ids()
    through = {name: ids(backward={"model": name}) for name in models}
    assert through["CLIP"] == through["again"]
    assert not through["CLIP"] & through["FARE"]
    assert not plain & through["CLIP"]
    started = {name: ids(start={"transfer": name}) for name in models}
    assert started["CLIP"] == started["again"]
    assert not started["CLIP"] & (started["FARE"] | through["CLIP"] | plain)
    apart, one = (
        ids(backward={"without": ["filter", "anchor"]}),
        ids(backward={"without": "filter"}),
    )
    assert apart == ids(backward={"without": ["anchor", "filter"]})
    assert not apart & one and not plain & one
    members = [{"kind": "apgd-ce", "backward": {"model": name}} for name in ("CLIP", "FARE")]
    several = {"kind": "ensemble", "attacks": members}
    assert ids(**several) != ids(**{**several, "attacks": members[::-1]})
    for change in ({"filter": {"cutoff": 40}}, {"rescale": True}, {"kind": "apgd-embedding"}):
        assert not plain & ids(**change)
    band, divided = ids(filter={"cutoff": 40}), ids(filter={"cutoff": 40, "inverse": 0.1})
    assert not band & divided and not band & ids(filter={"cutoff": 30})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"backward": {}}, "attacks.0.backward: got {}; exactly one of the keys `without` and `mo"),
        ({"backward": {"without": "filters"}}, "attacks.0.backward.without.0: got 'filters'"),
        (
            {"backward": {"model": "clip"}},
            "attacks.0.backward.model: got 'clip'; declared models: CLIP, FARE, R-Adapt_CLIP",
        ),
        (
            {"start": {"transfer": "clip"}},
            "attacks.0.start.transfer: got 'clip'; declared models: CLIP, FARE, R-Adapt_CLIP",
        ),
        ({"kind": "apgd-t", "start": {"transfer": "CLIP"}}, "attacks.0.start: unknown key"),
        (
            {"kind": "apgd-t", "candidates": 20},
            "; `candidates` needs `targets_by: malt`",
        ),
        (
            {"kind": "apgd-t", "targets_by": "malt", "candidates": 8},
            "`candidates` must be at least the number of `targets`",
        ),
        ({"filter": {"cutoff": 0}}, "attacks.0.filter.cutoff: got 0"),
        ({"filter": {"cutoff": 4, "inverse": 0}}, "attacks.0.filter.inverse: got 0"),
        ({"kind": "pgd", "filter": {"cutoff": 4}}, "attacks.0.filter: unknown key"),
        ({"kind": "apgd-dlr", "rescale": True}, "attacks.0.rescale: unknown key"),
    ],
)
def test_fault(suite_file: Write, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(SuiteError) as error:
        load_suite(suite_file(attacks=[{**APGD, **changes}]))
    assert expected in str(error.value)


def test_a_fault_of_a_member_names_its_place(suite_file: Write) -> None:
    member = {"kind": "apgd-t", "backward": {"model": "none"}}
    with pytest.raises(SuiteError, match=r"attacks\.0\.attacks\.0\.backward\.model: got 'none'"):
        load_suite(suite_file(attacks=[{"kind": "ensemble", "eps": 0.5, "attacks": [member]}]))
