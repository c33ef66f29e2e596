"""The page of a large suite: what it loads from the script files beside it, and what it says."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from bench.report.export import export, page_parts, percent
from bench.report.export.page_parts import PARTS
from bench.results.tables import read_cells
from bench.store.snapshot import read_results
from tests.report.test_page import FOUND, NAMES, SCRIPT, SUITE, pick, stored, table
from tests.support.browser import CHROMIUM, Tab, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")


def in_parts(root: Path) -> Path:
    """The folder of the made-up results, exported like those of a large suite."""
    store = stored(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_parts, "_MOST_INLINE", 10)
        export(read_results(SUITE, store))
    return store.folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return in_parts(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def shared() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture
def tab(shared: Tab, large: Path) -> Tab:
    return opened(shared, large)


def opened(tab: Tab, folder: Path) -> Tab:
    """The tab at a page whose figures are not near the window."""
    tab.look(1320, 100)
    tab.requests.clear()
    tab.complaints.clear()
    tab.open(folder / "leaderboard.html")
    return tab


def until(tab: Tab, condition: str) -> None:
    """Wait until a condition holds; it fails the test after 1,000 frames."""
    tab.ask(
        "new Promise((done, fail) => { let frames = 0; const look = () => {"
        f" if ({condition}) done(null); else if ((frames += 1) > 1000) fail(new Error());"
        " else requestAnimationFrame(look); }; look(); })"
    )


def asked(tab: Tab) -> list[str]:
    """The files that the page asked for, by their names."""
    return [Path(url).name for url in tab.requests if not url.startswith("data:")]


def text(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)}).innerText"


def choose_dataset(tab: Tab, dataset: str) -> None:
    pick(tab, "#dataset", dataset)
    until(tab, f"!{text('#over')}.startsWith('loading')")
    tab.settle()


def choose_quickly(tab: Tab, datasets: list[str], then: str = "null") -> None:
    """Choose datasets, and do something more, before anything can be loaded."""
    tab.ask(
        "(() => { const field = document.querySelector('#dataset');"
        f"for (const value of {json.dumps(datasets)}) {{ field.value = value;"
        "field.dispatchEvent(new Event('input', {bubbles: true})); }"
        f"{then}; }})()"
    )


def open_cells(tab: Tab) -> None:
    tab.ask("document.querySelector('#cells').open = true")
    all_read(tab)


def all_read(tab: Tab) -> None:
    tab.settle()
    until(tab, f"!{text('#cells output')}.startsWith('Loading')")


def test_the_page_holds_the_leaderboard_and_asks_for_nothing_else(tab: Tab, large: Path) -> None:
    board = pd.read_csv(large / "leaderboard.csv", keep_default_na=False)
    shown = table(tab)
    assert [row["model"] for row in shown] == list(board["model"])
    assert shown[0]["clean"] == percent(float(board["clean"][0]))
    assert asked(tab) == ["leaderboard.html"]
    inside = re.search(r'id="data">(.*?)</script>', (large / "leaderboard.html").read_text())
    assert inside is not None
    data = json.loads(inside.group(1))
    assert list(data["boards"]) == [""] and data["cells"] is None
    assert all("spreads" not in row for row in data["boards"][""])  # of a single seed
    assert tab.complaints == []


def test_a_dataset_is_loaded_when_it_is_chosen(tab: Tab) -> None:
    choose_dataset(tab, "digits")
    pick(tab, "#model", "STRONG")
    row = table(tab)[0]
    assert (row["clean"], row["worst"], row["n"]) == ("60.0", "47.5", "40")  # 24 and 19 of 40
    assert "on digits" in tab.ask(text("#leaderboard .lede"))
    choose_dataset(tab, "")
    assert table(tab)[0]["clean"] == "65.0"
    choose_dataset(tab, "digits")
    assert table(tab)[0]["clean"] == "60.0"
    assert asked(tab) == ["leaderboard.html", "dataset-1.js"]  # once
    assert tab.ask("document.querySelectorAll('script[src]').length") == 0
    assert tab.complaints == []


def test_the_last_of_two_quick_choices_holds(tab: Tab) -> None:
    sort = "document.querySelector('#board [data-sort=\"0\"] button').click()"
    choose_quickly(tab, ["digits", "cifar10"], sort)
    until(tab, f"!{text('#over')}.startsWith('loading')")
    assert "on cifar10" in tab.ask(text("#leaderboard .lede"))
    strong = next(row for row in table(tab) if row["model"] == "Strong")
    assert strong["clean"] == "70.0"
    assert tab.complaints == []


def test_the_heat_map_of_a_model_is_loaded_when_it_comes_near(tab: Tab) -> None:
    pick(tab, "#heated", "1")
    assert "Loading the numbers of Strong" in tab.ask(text("#heat .panels"))
    assert asked(tab) == ["leaderboard.html"]
    tab.ask("document.querySelector('#heat').scrollIntoView({behavior: 'instant'})")
    until(tab, "document.querySelector('#heat figure')")
    heat = tab.ask(
        "[...document.querySelectorAll('#heat figure:first-child tbody tr')]"
        ".map((row) => row.innerText.split(/\\s+/))"
    )
    assert heat == [
        ["cifar10", "70.0", "57.5", "50.0", "50.0", "50.0"],
        ["digits", "60.0", "55.0", "47.5", "47.5", "47.5"],
        ["mean", "65.0", "56.2", "48.8", "48.8", "48.8"],
    ]
    assert asked(tab) == ["leaderboard.html", "model-1.js"]
    assert tab.complaints == []


def test_cells_are_read_model_by_model_until_enough_are_there(shared: Tab, large: Path) -> None:
    tab = opened(shared, large)
    cells = read_cells(large / "cells.csv")
    per_model = len(cells) // len(NAMES)
    shown = "[...document.querySelectorAll('#cells tbody tr')].map((e) => e.innerText.split('\\t'))"
    open_cells(tab)
    assert tab.ask(text("#cells output")) == f"{len(cells)} of {len(cells)}"
    assert asked(tab)[1:] == [f"cells-{place}.js" for place in range(len(NAMES))]
    pick(tab, "#model", "STRONG")
    choose_dataset(tab, "digits")
    all_read(tab)
    lines = tab.ask(shown)
    assert len(lines) == per_model / 2
    known = cells[(cells["model"] == "Strong") & (cells["dataset"] == "digits")]
    assert [line[6] for line in lines] == [percent(value) for value in known["value"]]
    assert [line[-1] for line in lines] == list(known["cell_id"])
    tab.ask("document.querySelectorAll('#filters [name=threat]')[1].click()")  # white-box
    all_read(tab)
    assert {line[2] for line in tab.ask(shown)} == {"", "white-box"}
    assert tab.complaints == []


def test_the_line_below_the_cells_says_how_many_models_were_read(
    shared: Tab, large: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(large, copy)
    page = copy / "leaderboard.html"
    # a hundred lines at once are more than a model of this suite has
    few = page.read_text("utf-8").replace("const AT_ONCE = 100;", "const AT_ONCE = 20;")
    page.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", few), "utf-8")
    tab = opened(shared, copy)
    open_cells(tab)
    assert tab.ask(text("#cells output")) == "20 shown; 2 of 5 models read"
    assert asked(tab)[1:] == ["cells-0.js", "cells-1.js"]
    tab.ask("document.querySelector('#further').click()")
    all_read(tab)
    assert tab.ask(text("#cells output")) == "40 shown; 3 of 5 models read"
    assert tab.complaints == []


def test_a_missing_part_is_named_where_its_content_would_stand(
    shared: Tab, large: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(large, copy)
    for name in ("dataset-1.js", "model-1.js", "cells-1.js"):
        (copy / PARTS / name).unlink()
    tab = opened(shared, copy)
    choose_dataset(tab, "digits")
    for place in ("#leaderboard", "#tradeoff .panels", "#curves .panels"):
        assert f"{PARTS}/dataset-1.js cannot be loaded" in tab.ask(text(place)), place
    assert table(tab) == []  # not those of another dataset
    tab.click("#board [data-sort='0'] button")
    tab.ask("document.querySelector('#robust').dispatchEvent(new Event('input'))")
    choose_dataset(tab, "")
    assert len(table(tab)) == 10
    assert not tab.ask("document.querySelector('#none').checkVisibility()")
    complaints = len(tab.complaints)
    choose_quickly(tab, ["digits", ""])
    for _ in range(1000):  # until the browser has looked for the file
        if len(tab.complaints) > complaints:
            break
        tab.settle()
    assert len(table(tab)) == 10
    pick(tab, "#heated", "1")
    tab.ask("document.querySelector('#heat').scrollIntoView({behavior: 'instant'})")
    until(tab, f"{text('#heat .panels')}.includes('{PARTS}/model-1.js cannot be loaded')")
    tab.ask("document.querySelectorAll('.more')[0].click()")
    until(tab, f"{text('#details')}.includes('{PARTS}/model-1.js cannot be loaded')")
    assert "own:m1" in tab.ask(text("#details"))
    tab.ask("document.querySelector('#details').close()")
    open_cells(tab)
    assert re.fullmatch(
        rf"\d+ shown; 4 of 5 models read; {PARTS}/cells-1.js cannot be loaded: .*",
        tab.ask(text("#cells output")),
    )
    assert not tab.ask("document.querySelector('#further').checkVisibility()")
    shutil.copy(large / PARTS / "dataset-1.js", copy / PARTS)  # it is there again
    choose_dataset(tab, "digits")
    assert len(table(tab)) == 10
    assert all("ERR_FILE_NOT_FOUND" in told for told in tab.complaints)


def test_a_part_of_another_state_of_the_results_is_not_shown(
    shared: Tab, large: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(large, copy)
    part = copy / PARTS / "dataset-1.js"
    part.write_text(re.sub(r'(?<=dataset-1",")\w+', "0" * 16, part.read_text()))
    tab = opened(shared, copy)
    choose_dataset(tab, "digits")
    assert f"{PARTS}/dataset-1.js was written with another state" in tab.ask(text("#leaderboard"))
    assert table(tab) == []


def test_names_are_texts_in_parts(tab: Tab, large: Path) -> None:
    place = NAMES.index(SCRIPT)
    for path in (large / PARTS).iterdir():
        assert not re.search(r"[<>&]|[^\x00-\x7f]", path.read_text("utf-8")), path
    pick(tab, "#heated", str(place))
    tab.ask("document.querySelector('#heat').scrollIntoView({behavior: 'instant'})")
    until(tab, "document.querySelector('#heat figure')")
    assert SCRIPT in tab.ask(text("#heat figcaption"))
    tab.ask("document.querySelectorAll('.more')[2].click()")
    until(tab, f"{text('#details')}.includes('Trust checks')")
    assert FOUND[2].evidence in tab.ask(text("#details"))
    open_cells(tab)
    assert tab.ask("window.hit === undefined")
    assert tab.ask("document.querySelectorAll('img, i').length") == 0
    assert tab.complaints == []
