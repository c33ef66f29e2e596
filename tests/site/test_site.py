"""The site of several suites: what it finds, and what a reader sees and does in a real browser."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

import run_bench
from bench.compare.paired import with_baseline
from bench.core.errors import UserError
from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.report.export import export, percent
from bench.report.export.leaderboard_values import boards
from bench.results.board_cells import board_cells
from bench.results.leaderboard import leaderboard
from bench.results.tables import load_scored
from bench.share.bundle import write_bundle
from bench.site import model_pairs
from bench.site.board_lines import lines_of
from bench.site.found_results import find_results
from bench.site.site_data import page_of, paired_data, site_data
from bench.site.write_site import write_site
from bench.store.results_folder import Store
from bench.store.snapshot import Results, read_results
from bench.suite.load import Suite
from tests.report.test_page import LOCK, NAMES, SUITE, N, result
from tests.support.browser import CHROMIUM, Tab, browser

ROOT = Path(__file__).parents[2]
SCRIPT = NAMES[2]
with_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results of the made-up suite, with their tables."""
    store = Store(tmp_path_factory.mktemp("stored"), SUITE.suite)
    store.put_lock(LOCK)
    for cell in expand(SUITE, LOCK):
        store.put(result(cell))
    results = read_results(SUITE, store)
    export(results)
    return results


@pytest.fixture(scope="module")
def site(stored: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a results folder, and of the tables in this repository."""
    out = tmp_path_factory.mktemp("out") / "site"
    places = [str(stored.store.folder.parent), str(ROOT / "docs" / "nano_full")]
    assert run_bench.main(["site", *places, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def shared() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture
def tab(shared: Tab) -> Tab:
    shared.look(1400, 900)
    shared.requests.clear()
    shared.complaints.clear()
    return shared


def choose(tab: Tab, field: str, value: str) -> None:
    tab.ask(
        f"(() => {{ const field = document.forms[0].elements[{json.dumps(field)}];"
        f"field.value = {json.dumps(value)};"
        "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    tab.settle()


def shown(tab: Tab, suite: str) -> list[list[str]]:
    """The rows of a suite's table: the threat of their group, and the texts of their cells."""
    section = f"[data-suite={json.dumps(suite)}]"
    found: list[list[str]] = tab.ask(
        f"[...document.querySelectorAll(`{section} .row`)].map((row) =>"
        " [row.parentElement.querySelector('.badge'), ...row.cells].map((cell) =>"
        " (cell.querySelector('.of') ?? (cell.querySelector('.interval') ? cell.firstChild : cell))"
        ".textContent))"
    )
    return found


def test_every_number_of_the_leaderboard_is_a_line_with_its_interval(stored: Results) -> None:
    (found,) = find_results([stored.store.folder.parent])
    scored = load_scored(stored)
    known = boards(board_cells(SUITE, scored), leaderboard(board_cells(SUITE, scored)))
    lines = {(line.dataset, line.model, line.threat, line.source): line for line in lines_of(found)}
    assert len(lines) == sum(map(len, known.values()))
    for dataset, rows in known.items():
        for row in rows:
            line = lines[dataset, *row.key]
            assert (line.rank, line.n, line.flags) == (row.rank, row.n, row.flags)
            for name, rate in row.rates.items():
                expected = rate and (rate.value, rate.low, rate.high)
                assert line.rates.get(name) == (expected and pytest.approx(expected, abs=1e-5))


def test_a_bundle_gives_the_same_numbers_and_counts_once(stored: Results, tmp_path: Path) -> None:
    write_bundle(stored, tmp_path / "sent.zip")
    (of_folder,) = find_results([stored.store.folder.parent, tmp_path])
    assert not of_folder.is_bundle
    (of_bundle,) = find_results([tmp_path / "sent.zip"])
    assert of_bundle.is_bundle
    lines = {(line.dataset, line.model, line.threat): line for line in lines_of(of_folder)}
    for line in lines_of(of_bundle):
        known = lines[line.dataset, line.model, line.threat]
        for name, rate in line.rates.items():
            expected = known.rates[name]
            assert rate == pytest.approx(expected, abs=1e-5)
    tests = [paired_data(site_data([found])) for found in (of_folder, of_bundle)]
    assert tests[0] == tests[1] and tests[0]["tests"]


def test_tests_are_those_of_compare_between_two_models(stored: Results) -> None:
    (found,) = find_results([stored.store.folder])
    pairs = [*model_pairs.all_tests([found], [lines_of(found)])]
    (both,) = [each for each in pairs if {each.first, each.second} == {"Plain", "Strong"}]
    sign = 1 if both.first == "Strong" else -1
    compared = with_baseline(stored, "Plain", force=False)
    known = {
        (item.label.threat, item.label.source, item.label.attack, item.label.eps): item
        for item in compared.means
        if item.label.model == "Strong"
    }
    means = [item for item in both.differences if item.label.dataset == "mean"]
    assert len(means) == len(known) > 0
    for item in means:
        label = item.label
        other = known[label.threat, label.source, label.attack, label.eps]
        assert item.value == pytest.approx(sign * other.value)
        assert item.p == pytest.approx(other.p)
        assert item.p_holm is not None and other.p_holm is not None
        assert item.p_holm <= other.p_holm  # corrected for fewer tests
    lines = lines_of(found)
    each = sum(len(line.rates) for line in lines if line.model == "Strong")
    chosen = [*model_pairs.all_tests([found], [lines], 3 * each)]
    assert {name for both in chosen for name in (both.first, both.second)} == {
        *(NAMES[1], NAMES[2], NAMES[3]),  # the first three of the leaderboard
    }


def test_what_cannot_be_read_is_named(stored: Results, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no results; allowed: folders that contain a cells\.csv"):
        find_results([tmp_path / "empty"])
    with pytest.raises(UserError, match="is neither a folder nor a file"):
        find_results([tmp_path / "absent"])
    folder = tmp_path / "damaged"
    shutil.copytree(stored.store.folder, folder)
    cells = (folder / "cells.csv").read_text()
    for name, text, why in (
        ("cells.csv", "a,b\n1,2\n", r"cells\.csv: .*columns are missing: suite, model"),
        ("cells.csv", cells.replace("accuracy", "beauty"), "damaged: .*metric: got 'beauty'"),
        ("cells.csv", cells.replace(",40,", ",many,"), r"cells\.csv: cannot be read"),
        ("manifest.json", "{", r"manifest\.json: cannot be read"),
        ("manifest.json", '{"a": 1}', "damaged: its tables cannot be read"),
        ("leaderboard.json", "[1]", r"leaderboard\.json: cannot be read"),
        ("suite.json", "{}", r"suite\.json: cannot be read"),
    ):
        before = (folder / name).read_text()
        (folder / name).write_text(text)
        with pytest.raises(UserError, match=why):
            site_data(find_results([folder]))
        (folder / name).write_text(before)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("cells.csv", "")
    with pytest.raises(UserError, match="not a bundle"):
        find_results([tmp_path / "other.zip"])
    assert len(find_results([folder, tmp_path / "empty"])) == 1  # zips of others are passed over


def test_results_of_one_name_are_told_apart(stored: Results, tmp_path: Path) -> None:
    for place, lines in (("a", 30), ("b", 20)):
        folder = tmp_path / place / SUITE.suite
        folder.mkdir(parents=True)
        frame = pd.read_csv(stored.store.folder / "cells.csv", keep_default_na=False)
        frame.head(lines).to_csv(folder / "cells.csv", index=False)
    names = [found.name for found in find_results([tmp_path])]
    assert names == ["made-up (a/made-up)", "made-up (b/made-up)"]


def test_names_do_not_lead_out_of_the_site(site: Path) -> None:
    pages = {page_of("model", name) for name in NAMES}
    assert len(pages) == len(NAMES)
    assert pages < {path.name for path in site.iterdir()}
    assert page_of("model", "A") != page_of("model", "a")


def test_a_model_page_links_its_checkpoint_and_paper(tmp_path: Path) -> None:
    entry = SUITE.model_dump(mode="json", exclude_unset=True, exclude={"attacks", "threats"})
    model = {"kind": "open_clip", "name": "hf-hub:chs20/fare2-clip"}
    suite = Suite.model_validate(entry | {"suite": "linked", "models": {"FARE": model}})
    store = Store(tmp_path, "linked")
    store.put_lock(LOCK)
    for cell in expand(suite, LOCK):
        ids = LOCK.datasets[cell.dataset].sample_ids
        done = (np.arange(N) < 9, ids, np.zeros(N, np.float32), 1.0, N, {})
        store.put(CellResult(cell.id, "ok", *done))
    export(read_results(suite, store))
    write_site(find_results([tmp_path]), tmp_path / "site", "title")
    page = (tmp_path / "site" / page_of("model", "FARE")).read_text()
    for address in ("huggingface.co/chs20/fare2-clip", "arxiv.org/abs/2402.12336"):
        assert f'<a href="https://{address}">' in page


@with_browser
def test_search_sorting_and_a_shared_address(tab: Tab, site: Path) -> None:
    tab.open(site / "index.html")
    known = pd.read_csv(ROOT / "docs/nano_full/leaderboard.csv", keep_default_na=False)
    rows = shown(tab, "nano_full")
    assert [row[:3] for row in rows] == [
        [
            f"{row['threat']} from {row['source']}" if row["source"] else row["threat"],
            str(row["rank"]),
            row["model"],
        ]
        for row in known.to_dict("records")
    ]
    assert [row[4] for row in rows] == [percent(float(value)) for value in known["worst"]]
    assert tab.ask("document.querySelectorAll('#overview tbody .row').length") == len(
        {*known["model"], *NAMES}
    )
    choose(tab, "q", "tecoa")
    choose(tab, "threat", "white-box")
    choose(tab, "dataset", "digits")
    tab.click("[data-suite='nano_full'] [data-sort='pgd@2/255'] button")
    rows = shown(tab, "nano_full")
    assert {row[0] for row in rows} == {"white-box"} and len(rows) == 2
    cells = pd.read_csv(ROOT / "docs/nano_full/cells.csv", keep_default_na=False)
    chosen = cells[
        cells["model"].str.contains("TeCoA")
        & (cells["dataset"] == "digits")
        & (cells["threat"] == "white-box")
        & (cells["attack"] == "pgd")
        & (cells["eps"] == "2/255")
    ].sort_values("value", ascending=False)
    heads = tab.ask(
        "[...document.querySelectorAll('[data-suite=\"nano_full\"] thead button')]"
        ".map((button) => button.textContent)"
    )
    column = 1 + heads.index("pgd@2/255")
    assert [row[column] for row in rows] == [percent(float(value)) for value in chosen["value"]]
    assert "95%" in tab.ask("document.querySelector('.interval').textContent")
    address = tab.ask("location.search")
    assert address == "?q=tecoa&dataset=digits&threat=white-box&sort=-pgd%402%2F255"
    tab.open(site / "index.html", address)
    assert shown(tab, "nano_full") == rows
    choose(tab, "q", "nobody")
    assert tab.ask("document.querySelector('#none').checkVisibility()")
    tab.open(site / "index.html", "?suite=%3Cimg%20src=x%3E&sort=%22%5D&nonsense=1")
    assert len(shown(tab, "nano_full")) == len(known)
    assert tab.complaints == []
    assert {Path(url.partition("?")[0]).name for url in tab.requests if url[:5] != "data:"} == {
        "index.html"
    }


@with_browser
def test_a_model_page_has_its_numbers_checkpoint_and_command(tab: Tab, site: Path) -> None:
    tab.open(site / "index.html", "?suite=made-up")
    link = f"document.querySelector('a[href=\"{page_of('model', SCRIPT)}\"]')"
    assert tab.ask(f"{link}.textContent") == SCRIPT
    tab.open(site / page_of("model", SCRIPT))
    assert tab.ask("document.querySelector('h1').textContent") == SCRIPT
    rows = shown(tab, "made-up")
    assert sorted(row[:2] for row in rows) == sorted(
        [threat, dataset]
        for dataset in ("mean over 2 datasets", "cifar10", "digits")
        for threat in ("white-box", f"transfer from {NAMES[0]}")
    )
    facts = tab.ask("document.querySelector('#facts').innerText")
    assert f"own:m{NAMES.index(SCRIPT)}" in facts
    suite_file = page_of("suite", "made-up").replace(".html", ".json")
    assert f"radapt-bench run {suite_file}" in facts
    assert "attack pgd\nL∞; pgd: from a random point, 10 steps, step size 2.5 × ε / steps" in facts
    assert json.loads((site / suite_file).read_text())["suite"] == "made-up"
    assert tab.ask("document.querySelectorAll('#facts .cells tbody tr').length") == len(
        {cell.id for cell in expand(SUITE, LOCK) if cell.target == SCRIPT}
    )
    assert tab.ask("window.hit === undefined && document.querySelectorAll('img, i').length === 0")
    tab.open(site / page_of("model", "Plain"), "?threat=transfer+from+Plain")
    tab.click(".flag")  # a finger has no pointer to hover
    assert "crafted on the model itself" in tab.ask("document.querySelector('#tip').textContent")
    assert not tab.ask("document.querySelector('#tip').hidden")
    tab.open(site / page_of("model", NAMES[4]))
    assert tab.ask("document.querySelector('.reason').textContent") == "out of <i>memory</i>"
    tab.open(site / page_of("dataset", "digits"))
    assert {row[2] for row in shown(tab, "made-up")} == set(NAMES)
    before = tab.ask("getComputedStyle(document.body).backgroundColor")
    tab.click("#theme")
    assert tab.ask("getComputedStyle(document.body).backgroundColor") != before
    tab.open(site / "index.html")
    assert tab.ask("document.querySelector('#theme').ariaPressed") == "true"
    tab.click("#theme")
    assert tab.ask("getComputedStyle(document.body).backgroundColor") == before
    assert tab.complaints == []


@with_browser
def test_two_models_side_by_side(tab: Tab, site: Path) -> None:
    tab.open(site / "compare.html", f"?a=Strong&b={quote(SCRIPT)}&dataset=cifar10&threat=white-box")
    rows = {row[1]: row[2:] for row in shown(tab, "made-up")}
    assert set(rows) == {"clean", "pgd@1/255", "pgd@2/255", "apgd-ce@2/255", "worst"}
    strong, other = 20, 15  # images that `result` lets survive at the larger radius
    worst = rows["worst"]
    assert worst[:2] == [percent(strong / N), percent(other / N)]
    assert worst[2] == f"+{percent((strong - other) / N)}"
    # McNemar's test has p = 2 / 2**5; corrected for the 18 numbers of single datasets it is 1
    assert worst[3:] == ["1.0", "not separated"]
    choose(tab, "b", "Plain")
    worst = {row[1]: row[2:] for row in shown(tab, "made-up")}["worst"]
    assert worst[3:] == ["< 0.001", "Strong is better"]
    difference = worst[2]
    assert "a=Strong" in tab.ask("location.search")
    choose(tab, "a", "Plain")
    choose(tab, "b", "Strong")
    turned = {row[1]: row[2:] for row in shown(tab, "made-up")}["worst"]
    assert turned[2:] == [difference.replace("+", "-"), "< 0.001", "Strong is better"]
    tab.open(site / "compare.html", "?a=TeCoA&b=FARE")
    assert {row[-1] for row in shown(tab, "nano_full")} == {"no results per image"}
    assert all("–" not in row[2:4] for row in shown(tab, "nano_full"))
    assert tab.complaints == []
