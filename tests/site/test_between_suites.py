"""Models that no suite of a site scores both: a paired test, or words why there is none."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bench.core.resolved_names import DatasetLock, Lock
from bench.plan.cells import expand
from bench.plan.identity import spec_digests
from bench.report.export import export, percent
from bench.site.board_lines import lines_of
from bench.site.found_results import find_results
from bench.site.model_pairs import PairedTests, all_tests
from bench.site.write_site import write_site
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from tests.report.test_page import LOCK, NAMES, SUITE, N, result
from tests.site.test_site import choose, shown
from tests.support.browser import CHROMIUM, Tab, browser

PLAIN, STRONG, SCRIPT, IMAGE, FOLDER = NAMES
OTHER_IDS = DatasetLock("digits", tuple(str(place + 1) for place in range(N)), ("x",))


def store(root: Path, name: str, models: Sequence[str], lock: Lock, **changes: Any) -> None:
    """Store the made-up results of some models of the suite as a suite of its own."""
    entry = SUITE.model_dump(mode="json", exclude_unset=True) | {"suite": name} | changes
    entry["models"] = {model: entry["models"][model] for model in models}
    suite = Suite.model_validate(entry)
    place = Store(root, name)
    place.put_lock(replace(lock, specs=spec_digests(suite)))
    for cell in expand(suite, place.lock()):
        place.put(replace(result(cell), sample_ids=lock.datasets[cell.dataset].sample_ids))
    export(read_results(suite, place))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Suites with two models each, and one with all."""
    root = tmp_path_factory.mktemp("suites")
    store(root, "all", [PLAIN, STRONG, SCRIPT], LOCK)
    store(root, "one", [PLAIN, STRONG], LOCK)
    store(root, "two", [PLAIN, SCRIPT], LOCK)
    attacks = [{"kind": "pgd", "eps": ["1/255", "2/255"], "steps": 7}, SUITE.attacks[1]]
    datasets = {**LOCK.datasets, "digits": OTHER_IDS}
    models = {**LOCK.models, PLAIN: "other weights"}
    other = replace(LOCK, datasets=datasets, models=models)
    store(root, "unlike", [PLAIN, IMAGE], other, attacks=attacks)
    store(root, "whole", [PLAIN, FOLDER], LOCK)
    (root / "bare").mkdir()
    shutil.copy(root / "whole" / "cells.csv", root / "bare")
    return root


def pairs_of(*places: Path) -> list[PairedTests]:
    results = find_results(places)
    return list(all_tests(results, [lines_of(found) for found in results]))


def by_label(pair: PairedTests) -> dict[tuple[str, ...], Any]:
    return {
        (item.label.threat, item.label.source, item.label.attack, item.label.eps,
         item.label.dataset): item
        for item in pair.differences
    }  # fmt: skip


def test_the_test_between_two_suites_is_that_of_a_suite_with_both_models(root: Path) -> None:
    (known,) = (p for p in pairs_of(root / "all") if {p.first, p.second} == {STRONG, SCRIPT})
    (found,) = (p for p in pairs_of(root / "one", root / "two") if p.places == (0, 1))
    assert (found.first, found.second) == (STRONG, SCRIPT) == (known.first, known.second)
    expected = by_label(known)
    assert len(expected) == 9 * 3  # clean, three attacks and worst case, under two threats
    for label, item in by_label(found).items():
        other = expected.pop(label)
        assert (item.value, item.p_holm) == (other.value, other.p_holm)
        assert (item.low, item.high) == (other.low, other.high)
    assert not expected
    # a suite that has both comes first, so there are no others
    assert {p.places for p in pairs_of(root / "all", root / "one", root / "two")} == {
        (0, 0), (1, 1), (2, 2),
    }  # fmt: skip


def test_what_differs_between_two_suites_is_named(root: Path) -> None:
    (found,) = (p for p in pairs_of(root / "one", root / "unlike") if p.places == (0, 1))
    differs: Mapping[tuple[str, ...], str] = {
        label: item.label.differs for label, item in by_label(found).items()
    }
    assert all((item.p_holm is None) == bool(item.label.differs) for item in found.differences)
    steps = "attack.steps (10 in one, 7 in unlike)"
    images, source = "images", "weights of the source"
    for dataset, others in (("cifar10", set()), ("digits", {images}), ("mean", {images})):
        parts = {label[:4]: {*filter(None, differs[*label[:4], dataset].split("; "))}
                 for label in differs if label[4] == dataset}  # fmt: skip
        assert parts["", "", "clean", ""] == others
        assert parts["white-box", "", "apgd-ce", "2/255"] == others
        assert parts["white-box", "", "pgd", "1/255"] == {*others, steps}
        assert parts["transfer", PLAIN, "apgd-ce", "2/255"] == {*others, source}
        # a white-box attacker has the transferred images, too
        assert parts["white-box", "", "worst", "2/255"] == {*others, steps, source}


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as tab:
        tab.look(1400, 900)
        yield tab


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")
def test_numbers_of_two_suites_stand_side_by_side(tab: Tab, root: Path, tmp_path: Path) -> None:
    places = [root / name for name in ("one", "two", "unlike", "bare")]
    write_site(find_results(places), tmp_path, "title")
    tab.open(tmp_path / "compare.html", f"?a={quote(SCRIPT)}&b=Strong&threat=white-box")
    assert len(shown(tab, "two and one")) == 3 * 5  # the mean, and each of two datasets
    assert tab.ask("document.querySelector('#shown').textContent") == "no suite has both models"
    choose(tab, "dataset", "cifar10")
    rows = {row[1]: row[2:] for row in shown(tab, "two and one")}
    assert rows["worst"] == [
        percent(15 / N), percent(20 / N), f"-{percent(5 / N)}", "1.0", "not separated",
    ]  # fmt: skip
    choose(tab, "b", IMAGE)
    rows = {row[1]: row[2:] for row in shown(tab, "two and unlike")}
    told = "no test, since these differ: attack.steps (10 in two, 7 in unlike)"
    assert rows["pgd@1/255"][2:] == ["–", "–", told]
    assert rows["apgd-ce@2/255"][4] in ("not separated", f"{SCRIPT} is better")
    choose(tab, "b", FOLDER)
    assert shown(tab, "two and bare") == []
    told = tab.ask("document.querySelector('#none').textContent")
    assert told.startswith("No suite scores both models. Numbers of two suites can be compared")
    assert told.endswith("are missing in: bare.")
    assert tab.complaints == []
