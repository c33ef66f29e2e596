"""What a model's spec says of itself, for every kind."""

import pytest

from bench.core.resolved_names import Lock
from bench.models import BUILDERS
from bench.results.manifest import weights
from bench.suite.load import Suite
from bench.suite.specs import ModelSpec
from bench.suite.specs.models import KINDS, root_model
from tests.pinned.identities import kinds

SUITES = kinds()
MODELS = [
    pytest.param(suite, name, id=f"{suite.suite} {name}")
    for suite in SUITES.values()
    for name in suite.models
]


def test_every_kind_has_a_builder() -> None:
    assert set(BUILDERS) == set(KINDS.values())


@pytest.mark.parametrize(("suite", "name"), MODELS)
def test_its_parents_are_what_its_entry_names(suite: Suite, name: str) -> None:
    spec: ModelSpec = suite.models[name]
    assert set(spec.parents.values()) <= set(suite.models)
    written = spec.model_dump(mode="json", exclude_defaults=True)
    assert KINDS[spec.kind].models_named_in(written) == spec.parents
    assert spec.architecture_of in {None, *spec.parents.values()}
    assert root_model(suite.models, name).architecture_of is None


@pytest.mark.parametrize(("suite", "name"), MODELS)
def test_its_identity_and_its_manifest_hold_all_its_parents(suite: Suite, name: str) -> None:
    spec: ModelSpec = suite.models[name]
    asked: list[str] = []
    spec.identity("hash", lambda other: {"other": asked.append(other)})
    assert set(asked) == set(spec.parents.values())
    entry = weights(suite, Lock({each: f"hash of {each}" for each in suite.models}), name)
    for path, parent in spec.parents.items():
        place = entry
        for key in path.split("."):
            place = place[key]
        assert place["hash"] == f"hash of {parent}"


def test_the_manifest_says_that_an_anchor_is_resampled() -> None:
    suite = Suite.model_validate(
        {
            "suite": "s", "protocol": "radapt-paper", "samples": 1,
            "datasets": [{"kind": "nano", "name": "digits"}],
            "models": {
                "CLIP": {"kind": "nano", "weights": "clip"},
                "R": {
                    "kind": "radapt", "base": "CLIP", "alpha": 1, "cutoff": 40,
                    "anchor": {"white": "CLIP", "resize": True},
                },
            },
        }
    )  # fmt: skip
    anchor = weights(suite, Lock(), "R")["anchor"]
    assert anchor == {"white": weights(suite, Lock(), "CLIP"), "resize": True}
