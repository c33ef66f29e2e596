"""The models of the catalogue: entries that exist, facts that agree, and the page made of them."""

import csv
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from bench.catalogue.model_facts import ModelFacts, download_advice, known_models
from bench.commands.list import list_lines
from bench.commands.model_list import PAGE, model_lines, page
from bench.core.torchvision_shim import ensure_torchvision
from bench.suite.specs import OpenClipModel
from bench.suite.specs.model_base import LocalFile, Model
from bench.suite.specs.models import KINDS

ensure_torchvision()
import open_clip  # noqa: E402

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
USABLE = {name: facts for name, facts in known_models().items() if facts.model}


def spec_of(facts: ModelFacts) -> Model:
    assert facts.model
    return KINDS[facts.model["kind"]].model_validate(facts.model)


def description(facts: ModelFacts) -> str:
    return spec_of(facts).description(lambda other: other)


@cache
def published() -> set[tuple[str, str, str, str]]:
    """Return file, table, model and weights of all rows that state weights or may lack them."""
    found = set()
    for path in PUBLISHED.glob("*.csv"):
        for row in csv.DictReader(path.read_text("utf-8").splitlines()):
            if "weights" in row:
                found.add((path.name, row["table"], row["model"], row["weights"]))
    return found


def test_every_entry_has_a_model_or_a_reason() -> None:
    for name, facts in known_models().items():
        assert bool(facts.model) != bool(facts.refused), name
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert re.fullmatch(r"|\d{4}\.\d{5}", facts.paper), name
        assert re.fullmatch(r"|[1-9]/255", facts.radius), name
        assert facts.activation in ("", "gelu", "quick_gelu"), name


def test_a_fine_tuned_model_names_its_base() -> None:
    """And over OpenAI's weights it has its base's architecture."""
    tuned = {name: facts for name, facts in USABLE.items() if "fine-tuned by" in facts.what}
    assert len(tuned) > 20
    for name, facts in tuned.items():
        base = known_models()[facts.what.partition(",")[0]]
        assert not base.radius, name
        assert facts.activation in ("", base.activation), name
        assert base.model
        assert facts.model
        if "tower" in facts.model:
            assert facts.model == {**base.model, "tower": facts.model["tower"]}, name


def test_tags_and_activations_are_those_of_open_clip() -> None:
    tags = set(open_clip.list_pretrained())
    for name, facts in USABLE.items():
        spec = spec_of(facts)
        if isinstance(spec, OpenClipModel) and spec.pretrained:
            assert (spec.name, spec.pretrained) in tags, name
            quick = open_clip.get_model_config(spec.name).get("quick_gelu", False)
            assert facts.activation in ("", "quick_gelu" if quick else "gelu"), name


def test_published_numbers_are_those_of_the_weights() -> None:
    """Each table with a model's weights is named, and no other."""
    for name, facts in USABLE.items():
        weights = description(facts)
        for file, table, model in facts.published:
            rows = [row[3] for row in published() if row[:3] == (file, table, model)]
            assert rows, f"{name}: {file} has no {model} in {table}"
            assert any(not row or row.split()[-1] in weights for row in rows), name
        listed = {(file, table) for file, table, _ in facts.published}
        assert {row[:2] for row in published() if row[3] == weights} <= listed, name


def test_local_files_have_an_address_and_names_of_their_own() -> None:
    local = {
        name: [source for source in spec_of(facts).weight_sources() if type(source) is LocalFile]
        for name, facts in USABLE.items()
        if facts.model and facts.model["kind"] != "nano"
    }
    paths = [source.path for sources in local.values() for source in sources]
    assert len(paths) == len(set(paths)) > 5
    for name, sources in local.items():
        assert bool(sources) == bool(USABLE[name].page), name
        for source in sources:
            assert source.absent == (
                f"{source.path}: no such checkpoint; download it from {USABLE[name].page} and "
                "save it under this path"
            )
    assert download_advice("elsewhere/tga_b32.pth.tar") == ""  # which may be another file


def test_the_page_is_made_from_the_catalogue() -> None:
    made = page()
    assert PAGE.read_text("utf-8") == made, "run `python -m bench.commands.model_list`"
    lines = list(model_lines())
    assert len(lines) == len(known_models())
    for name in known_models():
        assert f"\n| `{name}` | " in made
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1
    assert set(lines) <= set(list_lines())
    entries = yaml.safe_load(made.rpartition("```yaml\n")[2].partition("```")[0])
    assert entries == {name: facts.model for name, facts in USABLE.items()}


@pytest.mark.parametrize(
    ("verified", "text"),
    [("", "no"), ("by a test", "by a test"), ({"date": "2026-12-01", "sha256": {}}, "2026-12-01")],
)
def test_who_loaded_it(verified: object, text: str) -> None:
    assert ModelFacts("a model", verified=verified).state == text  # type: ignore[arg-type]
