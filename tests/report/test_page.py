"""The page in a real browser: what a reader sees, does and is told."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult
from bench.plan.cells import Cell, expand
from bench.plan.identity import spec_digests
from bench.report.export import export, html_page, percent
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import Examined, Finding
from bench.trust.stored_findings import findings_and_todo, save_findings, trust_id
from tests.support import worded
from tests.support.browser import CHROMIUM, Tab, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")

N = 40
SCRIPT = "</script><script>window.hit = 1</script>"
NAMES = ("Plain", "Strong", SCRIPT, "<img src=x onerror='window.hit = 1'>", "../../x")
SUITE = Suite.model_validate(
    {
        "suite": "made-up",
        "protocol": {"preset": "radapt-paper", "pixels": "native"},
        "samples": N,
        "models": {
            name: {"kind": "python", "target": f"own:m{place}"} for place, name in enumerate(NAMES)
        },
        "datasets": ["cifar10", "digits"],
        "attacks": [
            {"kind": "pgd", "eps": ["1/255", "2/255"]},
            {"kind": "apgd-ce", "eps": "2/255"},
        ],
        "threats": ["white-box", {"transfer": "Plain"}],
    }
)
LOCK = Lock(
    {name: str(place) for place, name in enumerate(NAMES)},
    {name: DatasetLock(name, tuple(map(str, range(N))), ("x",)) for name in ("cifar10", "digits")},
    spec_digests(SUITE),
)
FOUND = (
    Finding("gradients", "pass", "zero for 0 of 40 images"),
    Finding("chance", "warn", "5 of 40 are right"),
    Finding("transfer", "fail", f"images crafted on {SCRIPT} break 20"),
    Finding("held-out", "skip", "no other images"),
)
FAILED = (NAMES[4], "digits", "apgd-ce", "transfer")


def result(cell: Cell) -> CellResult:
    """A made-up outcome: how many of 40 images stay right, by model, dataset and attack."""
    place = NAMES.index(cell.target)
    right = (34, 28, 25, 22, 19)[place] - 4 * (cell.dataset == "digits")
    if cell.attack is not None and cell.threat is not None:
        right = (2, 20, 15, 10, 5)[place] + (3 if cell.eps == "1/255" else 0)
        right += 4 * (cell.threat.kind == "transfer") - (cell.dataset == "digits")
    ids = LOCK.datasets[cell.dataset].sample_ids
    done = CellResult(
        cell.id, "ok", np.arange(N) < right, ids, np.full(N, 0.001, np.float32), 0.5, N,
        {"torch": "0", "device": "cpu"},
    )  # fmt: skip
    kind = cell.threat.kind if cell.threat else ""
    if (cell.target, cell.dataset, cell.attack and cell.attack.kind, kind) == FAILED:
        none = np.zeros(0)
        return replace(
            done, status="failed", correct=none.astype(bool), sample_ids=(),
            distance=none.astype(np.float32), reason="out of <i>memory</i>",
        )  # fmt: skip
    return done


def stored(root: Path) -> Store:
    """Made-up results of the suite, with findings of the trust battery and a page of images."""
    store = Store(root, SUITE.suite)
    store.put_lock(LOCK)
    for cell in expand(SUITE, LOCK):
        store.put(result(cell))
    _, numbers = findings_and_todo(read_results(SUITE, store), deep=False)
    pair = (NAMES[3], "cifar10")
    key = trust_id(SUITE, LOCK, pair, numbers[pair], False)
    save_findings(store, key, Examined(*pair, "2/255", "pgd, apgd-ce", N, False, 1.0, FOUND))
    pictured = store.folder / "images" / f"{expand(SUITE, LOCK)[0].id}.html"
    pictured.parent.mkdir()
    pictured.touch()
    return store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = stored(tmp_path_factory.mktemp("results"))
    export(read_results(SUITE, store))
    return store.folder


@pytest.fixture(scope="module")
def shared() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture
def tab(shared: Tab, folder: Path) -> Tab:
    shared.look(1320, 900)
    shared.requests.clear()
    shared.complaints.clear()
    shared.open(folder / "leaderboard.html")
    return shared


def table(tab: Tab) -> list[dict[str, str]]:
    """The rows that are shown, in their order, with the texts of their cells."""
    rows = tab.ask(
        "[...document.querySelectorAll('#board .row')].filter((row) => row.checkVisibility())"
        ".map((row) => [row.querySelector('.of').textContent,"
        " row.querySelector('.badge').textContent,"
        " row.querySelector('.flags').innerText.split(/\\s+/).join(' ').trim(),"
        " ...[...row.querySelectorAll('td')].map((cell) => cell.innerText.trim())])"
    )
    heads = ("model", "threat", "flags", "rank", "clean", "worst", "interval")
    attacks = ("pgd@1/255", "pgd@2/255", "apgd-ce@2/255")
    return [dict(zip((*heads, *attacks, "n"), row, strict=False)) for row in rows]


def order(tab: Tab, threat: str = "white-box") -> list[int]:
    return [NAMES.index(row["model"]) for row in table(tab) if row["threat"] == threat]


def pick(tab: Tab, selector: str, value: str) -> None:
    tab.ask(
        f"(() => {{ const field = document.querySelector({json.dumps(selector)});"
        f"field.value = {json.dumps(value)};"
        "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    tab.settle()


def test_page_shows_the_numbers_of_the_leaderboard(tab: Tab, folder: Path) -> None:
    board = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False)
    shown = table(tab)
    assert len(shown) == len(board) == 10
    for row, (_, known) in zip(shown, board.iterrows(), strict=True):
        assert row["model"] == known["model"]
        assert row["threat"] == (
            f"transfer from {known['source']}" if known["source"] else known["threat"]
        )
        assert row["rank"] == (str(known["rank"]).removesuffix(".0") or "–")
        for name in ("clean", "worst", "pgd@1/255", "pgd@2/255", "apgd-ce@2/255"):
            assert row[name] == (percent(float(known[name])) if known[name] != "" else "–")
        assert row["flags"] == known["flags"]
        low, high = (known[f"worst ci_{end}"] for end in ("low", "high"))
        told = f"{percent(float(low))} to {percent(float(high))}" if low != "" else ""
        assert row["interval"] == told


def test_nothing_is_asked_of_the_network_and_nothing_is_amiss(tab: Tab, folder: Path) -> None:
    tab.click(".more")
    tab.ask("document.querySelector('#details').close()")
    tab.ask("document.querySelector('#cells').open = true")
    tab.settle()
    page = (folder / "leaderboard.html").resolve().as_uri()
    assert [url for url in tab.requests if not url.startswith("data:")] == [page]
    assert tab.complaints == []


def test_names_are_texts_wherever_they_stand(tab: Tab) -> None:
    for place in range(len(NAMES)):
        pick(tab, "#heated", str(place))
        tab.ask(f"document.querySelectorAll('.more')[{place}].click()")
        tab.ask("document.querySelector('#details').close()")
    tab.ask("document.querySelector('#cells').open = true")
    tab.settle()
    assert tab.ask("window.hit === undefined")
    assert tab.ask("document.querySelectorAll('img, i').length") == 0
    assert tab.ask("document.querySelector('#failures .reason').textContent") == (
        "out of <i>memory</i>"
    )
    labels = tab.ask(
        "[...document.querySelectorAll('#tradeoff .panels text')].map((e) => e.textContent)"
    )
    assert SCRIPT in labels
    assert tab.complaints == []


def test_columns_sort_by_mouse_and_by_keyboard(tab: Tab) -> None:
    assert order(tab) == [1, 2, 3, 0, 4]  # 4 lacks a cell, so it has no worst case
    tab.click("#board [data-sort='0'] button")
    assert order(tab) == [0, 1, 2, 3, 4]  # clean, best first, within the threat
    assert tab.ask("document.querySelector('#board [data-sort=\"0\"]').ariaSort") == "descending"
    assert tab.ask("document.querySelectorAll('#board [aria-sort]').length") == 1
    tab.ask("document.querySelector('#board [data-sort=\"0\"] button').focus()")
    tab.press("Enter", 13, "\r")
    assert order(tab) == [4, 3, 2, 1, 0]
    assert tab.ask("document.querySelector('#said').textContent") == "sorted by clean, ascending"
    tab.press("Tab", 9)
    assert tab.ask("document.activeElement.textContent") == "worst"
    tab.press(" ", 32, " ")
    assert order(tab) == [1, 2, 3, 0, 4]
    transfer = f"transfer from {NAMES[0]}"
    assert order(tab, transfer) == [1, 2, 3, 0, 4]  # whose worst case is missing stands last
    tab.press(" ", 32, " ")
    assert order(tab, transfer) == [0, 3, 2, 1, 4]  # ascending too
    for column in tab.ask(
        "[...document.querySelectorAll('#board [data-sort]')].map((e) => e.dataset.sort)"
    ):
        tab.click(f"#board [data-sort='{column}'] button")
        assert tab.ask(f"document.querySelector('#board [data-sort=\"{column}\"]').ariaSort")


def test_a_long_leaderboard_shows_its_first_rows_and_more_on_request(
    tab: Tab, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / SUITE.suite)
    monkeypatch.setattr(html_page, "_LINES_AT_ONCE", 4)
    export(read_results(SUITE, Store(tmp_path, SUITE.suite)))
    whole = table(tab)
    page = tmp_path / SUITE.suite / "leaderboard.html"
    assert page.read_text("utf-8").count('<tr class="row">') == 4  # without scripts, too
    tab.open(page)
    assert table(tab) == whole[:4]
    assert tab.ask("document.querySelector('#board-rest').innerText").endswith("4 of 10")
    tab.click("#board [data-sort='model'] button")
    assert order(tab) == sorted(range(5), key=lambda place: NAMES[place].lower())[:4]
    tab.click("#board-rest button")
    assert len(table(tab)) == 8
    assert order(tab, f"transfer from {NAMES[0]}") == order(tab)[:3]
    tab.ask("document.querySelectorAll('.more')[7].click()")
    assert f"transfer from {NAMES[0]}" in tab.ask("document.querySelector('#details').innerText")
    tab.ask("document.querySelector('#details').close()")
    tab.click("#board-rest button")
    assert not tab.ask("document.querySelector('#board-rest').checkVisibility()")
    pick(tab, "#model", "STRONG")
    assert [row["model"] for row in table(tab)] == ["Strong", "Strong"]
    assert tab.complaints == []


def test_figures_are_drawn_when_they_come_near_the_window_or_are_printed(
    tab: Tab, folder: Path
) -> None:
    drawn = "document.querySelectorAll('#curves svg').length"
    tab.look(1320, 100)
    tab.open(folder / "leaderboard.html")
    assert tab.ask(drawn) == 0
    tab.ask("window.dispatchEvent(new Event('beforeprint'))")
    assert tab.ask(drawn) == 2
    tab.ask("document.querySelector('#filters').dispatchEvent(new Event('input'))")
    tab.settle()
    assert tab.ask(drawn) == 0
    tab.ask("document.querySelector('#curves').scrollIntoView({behavior: 'instant'})")
    tab.settle()
    tab.settle()
    assert tab.ask(drawn) == 2


def with_data(folder: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write a copy of the page with other data."""
    page = (folder / "leaderboard.html").read_text("utf-8")
    before, found, after = re.split(r'(?<=id="data">)(.*?)(?=</script>)', page, flags=re.DOTALL)
    data = json.loads(found)
    change(data)
    path.write_text(before + json.dumps(data).replace("<", "\\u003c") + after, "utf-8")
    return path


def test_the_page_rounds_like_the_other_tables(tab: Tab, folder: Path, tmp_path: Path) -> None:
    ties = iter([right / 2000 for right in range(1, 2000, 13)])
    expected = []

    def change(data: dict[str, Any]) -> None:
        for row in data["boards"][""]:
            row["rates"] = [[next(ties) for _ in range(3)] for _ in row["rates"]]
            for value, low, high in row["rates"]:
                expected.append([percent(value), f"95%: {percent(low)} to {percent(high)}"])

    tab.open(with_data(folder, tmp_path / "page.html", change))
    shown = tab.ask(
        "[...Array(5).keys()].map((column) => "
        "[...document.querySelectorAll(`#board [data-rate='${column}']`)]"
        ".map((cell) => [cell.textContent, cell.title]))"
    )
    rows = zip(*shown, strict=True)  # `expected` has the columns of each row, in any order of rows
    assert sorted(cell for row in rows for cell in row) == sorted(expected)


def test_rows_of_one_rank_are_sorted_by_the_worst_case_that_is_shown(
    tab: Tab, folder: Path, tmp_path: Path
) -> None:
    def change(data: dict[str, Any]) -> None:
        for row, worst in zip(data["boards"][""], [0.1, 0.3, 0.2, 0.5, 0.4] * 2, strict=True):
            row["rank"], row["rates"][-1] = 1, [worst, 0, 1]

    tab.open(with_data(folder, tmp_path / "page.html", change))
    shown = [row["worst"] for row in table(tab) if row["threat"] == "white-box"]
    assert shown == ["50.0", "40.0", "30.0", "20.0", "10.0"]


def test_filters(tab: Tab) -> None:
    tab.click("#filters label:nth-of-type(2)")  # white-box
    assert {row["threat"] for row in table(tab)} == {"white-box"}
    assert tab.ask("document.querySelector('#shown').textContent") == "5 of 10 rows"
    assert tab.ask("document.querySelectorAll('#tradeoff figure').length") == 1
    pick(tab, "#model", "STRONG")
    assert [row["model"] for row in table(tab)] == ["Strong"]
    assert table(tab)[0]["clean"] == "65.0"  # the mean of 28 and 24 of 40
    pick(tab, "#dataset", "digits")
    assert (table(tab)[0]["clean"], table(tab)[0]["n"]) == ("60.0", "40")
    assert table(tab)[0]["worst"] == "47.5"  # 19 of 40
    assert "on digits" in tab.ask("document.querySelector('#leaderboard .lede').textContent")
    pick(tab, "#model", "nobody")
    assert table(tab) == []
    assert tab.ask("document.querySelector('#none').checkVisibility()")


def test_figures_say_their_threat_and_have_their_numbers(tab: Tab) -> None:
    for figure in ("tradeoff", "curves", "heat"):
        threats = tab.ask(
            f"[...document.querySelectorAll('#{figure} figure')]"
            ".map((f) => f.querySelector('.badge').textContent)"
        )
        assert threats == ["white-box", f"transfer from {NAMES[0]}"]
    marks = tab.ask(
        "[...document.querySelectorAll('#tradeoff figure:first-child .item')]"
        ".map((e) => e.ariaLabel)"
    )
    strong = next(told for told in marks if told.startswith("Strong"))
    assert re.fullmatch(
        r"Strong; clean 65\.0 \[\d+\.\d, \d+\.\d\]; worst 48\.8 \[.*\]", strong
    )  # 20 and 19 of 40
    full = tab.ask(
        "[...document.querySelectorAll('#tradeoff figure:first-child .item:has(.full)')]"
        ".map((e) => e.ariaLabel.split(';')[0])"
    )
    assert set(full) == {"Plain", "Strong"}  # the Pareto front
    pick(tab, "#heated", "1")
    heat = tab.ask(
        "[...document.querySelectorAll('#heat figure:first-child tbody tr')]"
        ".map((row) => row.innerText.split(/\\s+/))"
    )
    assert heat == [
        ["cifar10", "70.0", "57.5", "50.0", "50.0", "50.0"],
        ["digits", "60.0", "55.0", "47.5", "47.5", "47.5"],
        ["mean", "65.0", "56.2", "48.8", "48.8", "48.8"],
    ]
    points = tab.ask(
        "document.querySelector('#curves figure .item').querySelectorAll('.mark').length"
    )
    assert points == 4  # clean, two budgets of pgd, and beside the name


def test_figures_by_keyboard(tab: Tab) -> None:
    tab.ask("document.querySelector('#tradeoff .item').focus()")
    first = tab.ask("document.activeElement.ariaLabel")
    tab.press("ArrowRight", 39)
    second = tab.ask("document.activeElement.ariaLabel")
    assert second != first
    assert tab.ask("document.querySelector('#tip').textContent") == second.replace("; ", "\n")
    assert tab.ask("document.querySelectorAll('#tradeoff figure:first-child [tabindex=\"0\"]')"
                   ".length") == 2  # fmt: skip
    tab.press("Escape", 27)
    assert tab.ask("document.querySelector('#tip').hidden")


def test_protocol_of_a_row(tab: Tab) -> None:
    tab.click(".more")
    said = tab.ask("document.querySelector('#details').innerText")
    for part in ("Strong", "white-box", "own:m1", "native", "a photo of a {c}", "steps", "torch"):
        assert part in said, part
    tab.press("Escape", 27)
    assert not tab.ask("document.querySelector('#details').open")


def test_what_was_examined_of_a_row(tab: Tab) -> None:
    tab.ask("document.querySelectorAll('.more')[2].click()")
    said = tab.ask("document.querySelector('#details').innerText")
    assert "untrusted=transfer" in said and EXPLANATIONS["transfer"].remedy in said
    left = len(EXPLANATIONS) - len(FOUND)
    assert f"at 2/255, pgd, apgd-ce, {N} images; {left} checks not done" in said
    terms = "[...document.querySelectorAll('#details .verdicts')]"
    seen = tab.ask(f"{terms}.filter((e) => e.checkVisibility()).map((e) => e.innerText)")
    assert len(seen) == 1
    lines = [" ".join(line.split()) for line in seen[0].splitlines() if line.strip()]
    assert lines == [
        *("warn chance", "5 of 40 are right"),
        *("fail transfer", f"images crafted on {SCRIPT} break 20"),
    ]
    assert "not examined: digits" in said
    tab.click("#details summary")
    rest = tab.ask(f"{terms}.at(-1).innerText")
    assert "zero for 0 of 40 images" in rest and "no other images" in rest
    assert tab.ask("document.querySelector('#details summary').textContent") == "1 pass, 1 skip"
    assert tab.ask("window.hit === undefined")
    assert tab.complaints == []


def test_failures_and_every_number(tab: Tab) -> None:
    failures = tab.ask("document.querySelector('#failures').innerText")
    assert "../../x" in failures and "digits" in failures and "transfer" in failures
    tab.ask("document.querySelector('#cells').open = true")
    tab.settle()
    pick(tab, "#model", "strong")
    lines = tab.ask("document.querySelectorAll('#cells tbody tr').length")
    assert lines == 2 * (1 + 3 * 2)


def test_spread_between_seeds_stands_in_the_cell(shared: Tab, tmp_path: Path) -> None:
    attacks = [{"kind": "pgd", "eps": "2/255"}, {"kind": "apgd-ce", "eps": "2/255"}]
    changes = {"seeds": [7, 8, 9], "attacks": attacks, "threats": ["white-box"]}
    suite = Suite.model_validate({**SUITE.model_dump(), **changes})
    store = Store(tmp_path, suite.suite)
    store.put_lock(LOCK)
    for cell in expand(suite, LOCK):
        moved = (cell.seed - 7) * (cell.attack is not None and cell.attack.kind == "pgd")
        done = result(cell)
        right = np.arange(N) < done.correct.sum() + moved
        store.put(replace(done, correct=right))
    board = export(read_results(suite, store))
    shared.look(1320, 900)
    shared.complaints.clear()
    shared.open(store.folder / "leaderboard.html")
    shown = shared.ask(
        "[...document.querySelectorAll('#board .row')].map((row) => ["
        "...row.querySelectorAll('td[data-rate]')].map((cell) => cell.textContent))"
    )
    for cells, (_, known) in zip(shown, board.iterrows(), strict=True):
        clean, worst, pgd, apgd = cells
        assert "↕" not in clean + worst
        # 2 of 40 images, on each dataset
        assert pgd == f"{percent(known['pgd@2/255'])} between seeds ↕ 5.0"
        assert apgd == f"{percent(known['apgd-ce@2/255'])} between seeds ↕ 0.0"
    best = shared.ask("document.querySelector('#board td[data-rate=\"1\"].best').textContent")
    assert best.startswith(percent(board["pgd@2/255"].max()))  # the small line is no part of it
    assert shared.complaints == []


def test_captions_have_their_scale_and_what_was_said(
    shared: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worded, "TEXTS", (worded.HOSTILE,))
    suite = worded.suite_of(worded.CAPTIONING)
    store = worded.filled(tmp_path, suite)
    board = export(read_results(suite, store))
    shared.look(1320, 900)
    shared.complaints.clear()
    shared.open(store.folder / "leaderboard.html")
    shown = [row["worst"] for row in table(shared)]
    assert sorted(shown) == sorted(f"{value:.3f}" for value in board["worst"])
    said = shared.ask("document.querySelector('main').innerText")
    assert "CIDEr-D from 0 to 10" in said
    assert "the lowest score of each image under any attack" in said
    assert "(%)" not in said
    ticks = shared.ask(
        "[...document.querySelectorAll('#curves svg > g:first-of-type text')]"
        ".map((e) => e.textContent)"
    )
    assert "CIDEr-D" in ticks
    numbers = [float(tick) for tick in ticks if re.fullmatch(r"[\d.]+", tick)]
    assert board["clean"].max() <= max(numbers) <= 10
    assert all(len(tick) <= 4 for tick in ticks if re.fullmatch(r"[\d.]+", tick))
    pick(shared, "#heated", str(worded.NAMES.index(board.loc[board["clean"].idxmax(), "model"])))
    colours = shared.ask(
        "[...document.querySelectorAll('#heat td')].map((e) => e.style.background).filter(Boolean)"
    )
    assert "rgb(254, 232, 56)" in colours  # the best number of the page
    shared.click(".more")
    details = shared.ask("document.querySelector('#details').innerText")
    assert "Example answers" in details
    assert details.count(worded.HOSTILE) == 6
    assert "apgd-text@4/255" in details
    shared.ask("document.querySelector('#details').close()")
    assert shared.ask("window.hit === undefined")
    assert shared.ask("document.querySelectorAll('img').length") == 0
    assert shared.complaints == []


TWENTY = [f"{kind} of {base}" for kind in ("FARE", "TeCoA", "TGA", "Adapted") for base in
          ("B/32", "B/16", "L/14", "ViT-H-14 laion2b", "SigLIP 2")]  # fmt: skip


def twenty_models(data: dict[str, Any]) -> None:
    """Turn the data of a page into those of 20 white-box rows, some at the same place."""
    data["models"] = TWENTY
    data["rows"] = [{"model": place, "threat": 0} for place in range(20)]
    data["boards"][""] = [
        {
            "rank": place + 1,
            "n": 80,
            "flags": ["untrusted=gradients", "doubt=chance"] if place < 3 else [],
            "rates": [[x, x - 0.05, x + 0.05] for x in ((0.5 + (place % 7) / 40),)]
            + [[y, y - 0.05, y + 0.05] for y in (0.1 + (place % 9) / 30,) * 4],
            "spreads": [None] * 5,
        }
        for place in range(20)
    ]


@pytest.mark.parametrize("width", [1400, 390])
def test_twenty_models_are_told_apart_and_nothing_that_explains_is_off_screen(
    tab: Tab, folder: Path, tmp_path: Path, width: int
) -> None:
    tab.look(width, 900)
    tab.open(with_data(folder, tmp_path / "page.html", twenty_models))
    tab.ask("window.dispatchEvent(new Event('beforeprint'))")
    boxes = (
        "const box = (e) => { const {left, right, top, bottom} = e.getBoundingClientRect();"
        " return [left, right, top, bottom]; };"
    )
    for figure in ("tradeoff", "curves"):
        items = tab.ask(
            f"(() => {{ {boxes} const key = [...document.querySelectorAll('#{figure} .key li')];"
            f"return [...document.querySelectorAll('#{figure} .item')].map((item) => {{"
            "const text = item.querySelector('text'), mark = item.querySelector('.mark');"
            "return {name: item.ariaLabel.split('; ')[0].replace(' †', ''),"
            " text: text && box(text), mark: box(mark), shape: mark.getAttribute('d'),"
            " inKey: key.some((e) => e.textContent === item.ariaLabel.split('; ')[0])}; }); })()"
        )
        assert sorted(item["name"] for item in items) == sorted(TWENTY)
        assert len({item["shape"] for item in items}) == 20  # also without colours
        assert all(item["text"] or item["inKey"] for item in items)
        named = [item for item in items if item["text"]]
        assert len(named) >= 4 or width == 390
        assert all(item["text"][0] >= 0 and item["text"][1] <= width for item in named)
        for item in named:
            others = [other for other in items if other is not item]
            taken = [other["text"] for other in others if other["text"]]
            taken += [other["mark"] for other in others]
            left, right, top, bottom = item["text"]
            assert not any(
                left < box[1]
                and box[0] < right
                and top + 2 < box[3] - 2
                and box[2] + 2 < bottom - 2
                for box in taken
            ), item["name"]
    seen = tab.ask(
        f"(() => {{ {boxes} return [...document.querySelectorAll("
        "'#board .flag, #board .more, #board .interval')].filter((e) => e.textContent).map(box);"
        "})()"
    )
    last = max(box[1] for box in seen if width == 1400 or box[0] < 250)
    assert len(seen) == 6 + 20 + 21 and last <= width
    assert tab.ask("document.documentElement.scrollWidth") == width
    assert tab.complaints == []


def test_flags_say_what_they_mean_on_hover_focus_and_touch(tab: Tab) -> None:
    flag = "#board .flag[aria-label^='untrusted=transfer']"
    told = "untrusted=transfer: a trust check failed. " + " ".join(EXPLANATIONS["transfer"])
    tip = "[document.querySelector('#tip').hidden, document.querySelector('#tip').textContent]"
    find = f'document.querySelector("{flag}")'
    for begin, end in (
        ("focus()", "blur()"),
        *(
            (f"dispatchEvent(new Event('{one}', {{bubbles: true}}))",
             f"dispatchEvent(new Event('{other}', {{bubbles: true}}))")
            for one, other in (("pointerover", "pointerout"), ("click", "pointerout"))
        ),
    ):  # fmt: skip
        tab.ask(f"{find}.{begin}")
        assert tab.ask(tip) == [False, told]
        tab.ask(f"{find}.{end}")
        assert tab.ask(tip)[0]
    marked = "[...document.querySelectorAll('#board .flag, #heat .flag')]"
    assert tab.ask(f"{marked}.every((e) => e.ariaLabel.includes(': '))")


def test_columns_can_be_chosen(tab: Tab) -> None:
    tab.ask("document.querySelector('#columns').open = true")
    shown = (
        "[...document.querySelectorAll('#board .heads th, #board .threat + .row td,"
        " #board .spans th')].filter((e) => e.checkVisibility()).map((e) => e.innerText.trim())"
    )
    whole = tab.ask(shown)
    tab.click("#columns [value='1']")  # pgd at 1/255
    fewer = tab.ask(shown)
    assert "1/255" in whole and "1/255" not in fewer
    assert len(fewer) == len(whole) - 3  # the head, and a cell of the first row of each threat
    assert tab.ask("document.querySelector('#board [data-span=\"1 2\"]').colSpan") == 1
    tab.click("#no-columns")
    assert "pgd" not in tab.ask(shown) and "worst" in tab.ask(shown)
    tab.click("#all-columns")
    assert tab.ask(shown) == whole


def test_files_papers_and_settings_are_there(tab: Tab, folder: Path) -> None:
    tab.ask("document.querySelector('#cells').open = true")
    tab.settle()
    links = tab.ask(
        "[...document.querySelectorAll('main a, header a')].map((e) => e.getAttribute('href'))"
    )
    files = {"leaderboard.csv", "cells.csv", "leaderboard.json", "manifest.json"}
    pictured = f"images/{expand(SUITE, LOCK)[0].id}.html"
    assert set(links) == files | {pictured}
    assert all((folder / link).exists() for link in links)
    tab.ask("document.querySelectorAll('#protocol details').forEach((e) => { e.open = true; })")
    said = tab.ask("document.querySelector('#protocol').innerText")
    assert "L∞; pgd: from a random point, 10 steps, step size 2.5 × ε / steps" in said
    assert "torch 0" in said and "radapt-bench" in said
    assert not re.search(r"True|False|\(\)", said)
    assert re.search(r"results of \d+ \w+ \d{4}", tab.ask("document.body.innerText"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_schemes(tab: Tab, scheme: str) -> None:
    def brightness() -> float:
        colour = tab.ask("getComputedStyle(document.body).backgroundColor")
        return float(np.mean([int(part) for part in re.findall(r"\d+", colour)[:3]]))

    tab.look(1320, 900, scheme)
    assert (brightness() > 128) == (scheme == "light")
    tab.click("#theme")
    assert (brightness() > 128) == (scheme == "dark")
    assert tab.ask("document.querySelector('#theme').ariaPressed") == (
        "true" if scheme == "light" else "false"
    )


def test_a_phone_scrolls_tables_and_not_the_page(tab: Tab) -> None:
    tab.look(390, 844)
    tab.ask("document.querySelector('#cells').open = true")
    for summary in ("tradeoff", "curves"):
        tab.ask(f"document.querySelector('#{summary} details').open = true")
    tab.settle()
    assert tab.ask("document.documentElement.scrollWidth") == 390
    wide = tab.ask(
        "(() => { const e = document.querySelector('.scroll');"
        " return e.scrollWidth > e.clientWidth; })()"
    )
    assert wide
    tab.ask("document.querySelector('.scroll').scrollLeft = 9999")
    tab.settle()
    box = tab.ask(
        "(() => { const {x, right} = document.querySelector('#board .row .badge')"
        ".getBoundingClientRect(); return [x, right]; })()"
    )
    assert 0 <= box[0] < box[1] <= 390  # the threat stays in view


def test_every_control_has_a_name_and_shows_its_focus(tab: Tab) -> None:
    seen = []
    for _ in range(25):
        tab.press("Tab", 9)
        seen.append(
            tab.ask(
                "(() => { const e = document.activeElement; const s = getComputedStyle(e);"
                "const f = e.closest('label')?.textContent ?? '';"
                "const named = e.ariaLabel || e.textContent.trim() || f.trim()"
                " || e.getAttribute('aria-labelledby');"
                "const around = e.nextElementSibling ? getComputedStyle(e.nextElementSibling) : s;"
                "return [e.tagName, named, s.outlineStyle !== 'none'"
                " || around.outlineStyle !== 'none']; })()"
            )
        )
    assert all(named for _, named, _ in seen), seen
    assert all(visible for _, _, visible in seen), seen
    assert {"INPUT", "SELECT", "BUTTON"} <= {tag for tag, _, _ in seen}
