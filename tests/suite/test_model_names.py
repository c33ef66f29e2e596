"""Short forms of models: names of the catalogue, R-Adapt over a model, and lists."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.catalogue.model_facts import known_models
from bench.core.errors import SuiteError
from bench.core.resolved_names import Lock
from bench.plan.cells import expand
from bench.suite.load import Suite, load_suite
from bench.suite.specs.models import KINDS

Maker = Callable[..., Path]

USABLE = {name: dict(facts.model) for name, facts in known_models().items() if facts.model}
LONG: dict[str, Any] = {
    "A": USABLE["clip-l14"],
    "B": USABLE["fare4-l14"],
    "C": {
        **{"kind": "radapt", "base": "A", "anchor": {"white": "B"}},
        **{"alpha": 1.0, "cutoff": 40},
    },
}


def ids(suite: Suite) -> list[str]:
    """Return the ids of a suite's cells, as if each model had a hash of its own."""
    names = {name: f"hash {place}" for place, name in enumerate(suite.models)}
    return [cell.id for cell in expand(suite, Lock(names))]


def faults(path: Path) -> str:
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    return str(caught.value)


def test_every_name_of_the_catalogue_is_a_valid_model_or_is_refused(suite_file: Maker) -> None:
    suite = load_suite(suite_file(models=[*USABLE], attacks=None, threats=None))
    assert list(suite.models) == [*USABLE]
    for name, entry in USABLE.items():
        assert suite.models[name] == KINDS[entry["kind"]].model_validate(entry), name
    refused = [name for name, facts in known_models().items() if not facts.model]
    text = faults(suite_file(models=refused, attacks=None, threats=None))
    for place, name in enumerate(refused):
        why = known_models()[name].refused
        assert why
        assert f"models.{place}: got {name!r}; it cannot be used here: {why}" in text


def test_short_forms_have_the_identities_of_the_long_form(suite_file: Maker) -> None:
    radapt = {"radapt": "clip-l14", "anchor": {"white": "fare4-l14"}, "alpha": 1.0, "cutoff": 40}
    short = suite_file(models=["clip-l14", "fare4-l14", radapt], threats=["white-box"])
    suite = load_suite(short)
    assert list(suite.models) == ["clip-l14", "fare4-l14", "radapt-clip-l14"]
    expected = ids(load_suite(suite_file(models=LONG, threats=["white-box"])))
    assert len(set(expected)) == len(expected) > 3
    assert ids(suite) == expected
    own = {"radapt": "A", **{key: LONG["C"][key] for key in ("anchor", "alpha", "cutoff")}}
    for models in (
        {"A": "clip-l14", "B": "fare4-l14", "C": own},
        [{"A": "clip-l14"}, {"B": LONG["B"]}, {"C": own}],
    ):
        suite = load_suite(suite_file(models=models, threats=["white-box"]))
        assert list(suite.models) == ["A", "B", "C"]
        assert ids(suite) == expected


def test_a_list_may_have_sweeps(suite_file: Maker) -> None:
    swept = {
        **{"radapt": "nano-clip", "anchor": {"white": "nano-clip"}, "cutoff": 40},
        **{"sweep": {"alpha": [0.1, 0.2]}},
    }
    suite = load_suite(suite_file(models=["nano-clip", swept], threats=["white-box"]))
    assert [*suite.models][1:] == [f"radapt-nano-clip[alpha={alpha}]" for alpha in (0.1, 0.2)]


def test_faults_of_short_forms_have_their_places_in_the_file(suite_file: Maker) -> None:
    radapt = {"anchor": {"white": "nano-clip"}, "alpha": 1, "cutoff": 40}
    models = [
        "nano-clop",
        "nano-fare",
        "nano-fare",
        {"radapt": "nano-clip", **radapt, "alpha": 3},
        {"Mine": "nano-tecoaa"},
        {"Other": {"kind": "nano", "weights": "clipp"}},
        {"Swept": {"radapt": "Mine", **radapt, "sweep": {"alpha": [0.1, "x"], "cutoff": 3}}},
        {"kind": "nano", "weights": "clip"},
        7,
    ]
    text = faults(suite_file(models=models, attacks=None, threats=None))
    for expected in (
        "models.0: got 'nano-clop'; allowed: a mapping with the key `kind`, or a name that "
        "`run_bench.py list models` prints; did you mean 'nano-clip'?",
        "models: 'nano-fare' appears 2 times",
        "models.3.alpha: got 3; allowed: a number of at most 2.0",
        "models.3.radapt: got 'nano-clip'; declared models: nano-clop, nano-fare,",
        "or add it to `models`",
        "models.4.Mine: got 'nano-tecoaa'; ",
        "did you mean 'nano-tecoa'?",
        "models.5.Other.weights: got 'clipp'; ",
        "models.6.Swept.sweep.alpha[1]: got 'x'; allowed: a number",
        "models.6.Swept.sweep.cutoff: got 3; a list of at least one value is needed",
        "models.7: got {'kind': 'nano', 'weights': 'clip'}; allowed: a name of the catalogue, "
        "{NAME: ENTRY}, or {radapt: NAME, ...}",
        "models.8: got 7; ",
    ):
        assert expected in text, f"{expected!r} is not in:\n{text}"


def test_a_typo_in_a_mapping_suggests_the_nearest_name(suite_file: Maker) -> None:
    text = faults(suite_file(models={"CLIP": "fare-4-l14"}))
    assert "models.CLIP: got 'fare-4-l14'; " in text
    assert "did you mean 'fare4-l14'?" in text
