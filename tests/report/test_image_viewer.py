"""Looking at images of a cell: the stored pixels, the stored outcomes, and a page in a browser."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import run_bench
from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.data import load_images
from bench.plan.cells import Cell, expand
from bench.plan.resolve import resolve
from bench.plan.shards import part_key
from bench.report.export import percent
from bench.report.export.images_page import image_page, write_images
from bench.report.image_viewer.render import show_images
from bench.report.image_viewer.select import choose_rows, find_cell
from bench.report.image_viewer.shown_images import ShownCell
from bench.run.suite_run import run_suite
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite, load_suite
from tests.conftest import SMALL, png
from tests.support.browser import CHROMIUM, Tab, browser

CPU = torch.device("cpu")
CHANGES: dict[str, Any] = {
    "models": {name: SMALL["models"][name] for name in ("CLIP", "FARE")},
    "attacks": [
        {"kind": "pgd", "eps": ["1/255", "2/255"], "steps": 3, "nested": True},
        {"kind": "pgd", "norm": "l2", "eps": "0.25", "steps": 3},
    ],
}
SCRIPT = "</script><script>window.hit = 1</script>"
TAG = "<img src=x onerror='window.hit = 1'>"

Measured = tuple[Suite, Store]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    suite = Suite.model_validate({**SMALL, **CHANGES})
    root = tmp_path_factory.mktemp("results")
    assert run_suite(suite, results=root, device="cpu", check=False).failed == 0
    return suite, Store(root, suite.suite)


def cells_of(measured: Measured, kind: str | None, target: str = "FARE") -> list[Cell]:
    suite, store = measured
    return [
        cell
        for cell in expand(suite, store.lock())
        if cell.target == target and (cell.threat.kind if cell.threat else None) == kind
    ]


def looked(measured: Measured, cell: Cell, count: int = 16) -> ShownCell:
    suite, store = measured
    return show_images(
        read_results(suite, store),
        *find_cell(read_results(suite, store), cell.id),
        count,
        CPU,
        False,
    )


def on_page(page: str) -> dict[str, list[NDArray[np.uint8]]]:
    """The images of a page, decoded, by the kind of their button."""
    found: dict[str, list[NDArray[np.uint8]]] = {}
    for kind, data in re.findall(r'data-kind="(\w+)"[^>]*><img src="data:image/png;base64,(.*?)"',
                                 page):  # fmt: skip
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        found.setdefault(kind, []).append(np.asarray(image.convert("RGB")))
    return found


def in_order(shown: ShownCell) -> list[str]:
    """The ids of the images in the order of the page."""
    groups = ("broken", "robust", "wrong") if shown.cell.attack else ("wrong", "robust")
    return [i.sample_id for group in groups for i in shown.images if i.outcome == group]


def test_pixels_on_the_page_are_those_of_the_stored_craft(measured: Measured) -> None:
    suite, store = measured
    for cell in cells_of(measured, "transfer"):
        shown = looked(measured, cell)
        assert shown.from_store
        found = on_page(image_page(suite, shown))
        assert {kind: len(images) for kind, images in found.items()} == dict.fromkeys(
            ("clean", "adversarial", "difference"), 16
        )
        kept = store.craft(part_key(cell.craft_id, range(16)))
        assert kept is not None
        data = load_images(suite.datasets[0], shown.result.sample_ids, "native")
        for place, key in enumerate(in_order(shown)):
            row = shown.result.sample_ids.index(key)
            clean = data.images[row].astype(np.float32) / 255
            delta = kept.kept[row].astype(np.float32)
            points = np.clip(clean + delta, 0, 1)
            hwc = points.transpose(1, 2, 0)
            assert np.array_equal(found["clean"][place], data.images[row].transpose(1, 2, 0))
            assert np.abs(found["adversarial"][place] - 255 * hwc).max() <= 0.5 + 1e-3
            delta = (points - clean).transpose(1, 2, 0)
            amplified = 127.5 + 127.5 * delta / np.abs(delta).max()
            assert np.abs(found["difference"][place] - amplified).max() <= 0.5 + 1e-2
            assert {found["difference"][place].min(), found["difference"][place].max()} & {0, 255}


@pytest.mark.parametrize("kind", ["white-box", "transfer", None])
def test_outcomes_and_distances_are_those_of_the_row(measured: Measured, kind: str | None) -> None:
    cells = cells_of(measured, kind)
    assert len(cells) == (3 if kind else 1)
    for cell in cells:
        shown = looked(measured, cell, count=9)  # other batches than the run's
        assert shown.from_store == (kind == "transfer")
        assert len(shown.images) == 9
        for image in shown.images:
            row = shown.result.sample_ids.index(image.sample_id)
            assert image.right == image.stored == bool(shown.result.correct[row])
            assert 0 < image.prediction.confidence <= 1
            assert (image.attacked is None) == (kind is None)
            if image.attacked:
                stored = float(shown.result.distance[row])
                assert image.attacked.norm == pytest.approx(stored, abs=1e-4)
                largest = np.abs(image.attacked.difference.astype(int) - 127.5).max()
                left_alone = image.outcome == "wrong" and kind == "white-box"
                assert (image.attacked.factor == 0) == (stored == 0) == left_alone
                assert largest == (0.5 if left_alone else 127.5)
        assert "differs" not in re.sub("<style>.*?</style>", "", image_page(measured[0], shown))


def test_a_nested_budget_shows_what_the_smaller_one_broke(measured: Measured) -> None:
    _, large, _ = cells_of(measured, "white-box")
    norms = [image.attacked.norm for image in looked(measured, large).images if image.attacked]
    found = {round(255 * norm, 2) for norm in norms}
    assert found == {0, 1, 2}  # wrong already, broken by the smaller budget, attacked by this one


def test_attacks_around_a_defence_and_on_several_sources(tmp_path: Path) -> None:
    around = {"kind": "apgd-ce", "eps": "2/255", "steps": 3, "backward": {"without": ["filter"]}}
    changes = {"attacks": [around], "threats": ["white-box"]}
    suite = Suite.model_validate({**SMALL, **changes})
    run_suite(suite, results=tmp_path / "a", device="cpu")
    store = Store(tmp_path / "a", suite.suite)
    (cell,) = cells_of((suite, store), "white-box", "R-Adapt_CLIP")
    shown = looked((suite, store), cell, count=9)
    assert all(image.right == image.stored for image in shown.images)
    attack = {"kind": "pgd", "eps": "2/255", "steps": 2}
    both = {"attacks": [attack], "threats": [{"transfer": ["CLIP", "FARE"]}]}
    suite = Suite.model_validate({**SMALL, **both})
    run_suite(suite, results=tmp_path / "b", device="cpu")
    store = Store(tmp_path / "b", suite.suite)
    for target, among in (("FARE", True), ("R-Adapt_CLIP", False)):
        (cell,) = cells_of((suite, store), "transfer", target)
        page = image_page(suite, looked((suite, store), cell, count=2))
        said = "includes" if among else "does not include"
        assert f"<bdi>CLIP + FARE</bdi>, which {said} the scored model" in page


def test_a_craft_that_is_not_here_is_made_again_for_what_is_shown(
    measured: Measured, tmp_path: Path
) -> None:
    suite, store = measured
    (cell, *_) = cells_of(measured, "transfer")
    bare = Store(tmp_path, suite.suite)
    bare.put_lock(store.lock())
    result = store.get(cell.id)
    assert result is not None
    bare.put(result)
    shown = looked((suite, bare), cell, count=5)
    assert not shown.from_store
    assert not bare.crafts.exists()
    assert "The adversarial images are not in the store" in image_page(suite, shown)
    known = {image.sample_id: image for image in looked(measured, cell).images}
    for image in shown.images:
        before, after = known[image.sample_id].attacked, image.attacked
        assert before and after
        assert np.abs(before.pixels.astype(int) - after.pixels.astype(int)).max() <= 1
        assert image.right == image.stored


def test_an_outcome_that_differs_from_the_row_is_marked(measured: Measured) -> None:
    suite, store = measured
    (cell, *_) = cells_of(measured, "white-box")
    result = store.get(cell.id)
    assert result is not None
    wrong = replace(result, correct=~result.correct)
    page = image_page(suite, show_images(read_results(suite, store), cell, wrong, 4, CPU, False))
    assert "4 of 4 images have different outcomes here" in page
    assert len(re.findall("differs: stored as (?:right|wrong)</b>", page)) == 4


def outcome(cell: Cell, correct: str) -> CellResult:
    ids = tuple(f"i{place:02d}" for place in range(len(correct)))
    right = np.array([letter == "1" for letter in correct])
    return CellResult(cell.id, "ok", right, ids, np.zeros(len(ids), np.float32), 0.1, 1, {})


@pytest.mark.parametrize(
    ("clean", "attacked", "count", "counts"),
    [
        ("1" * 8 + "0" * 4, "1" * 4 + "0" * 8, 6, (3, 3, 0)),
        ("1" * 8 + "0" * 4, "1" * 4 + "0" * 8, 12, (4, 4, 4)),
        ("1" * 8 + "0" * 4, "1" * 4 + "0" * 8, 99, (4, 4, 4)),
        ("1" * 12, "1" + "0" * 11, 6, (5, 1, 0)),
        ("1" * 12, "1" * 11 + "0", 6, (1, 5, 0)),
        ("1" * 2 + "0" * 10, "0" * 12, 6, (2, 0, 4)),
        ("1" * 12, "1" * 12, 1, (0, 1, 0)),
    ],
)
def test_half_of_what_is_shown_stands_and_broken_images_go_before_wrong_ones(
    small: Suite, tmp_path: Path, clean: str, attacked: str, count: int, counts: tuple[int, ...]
) -> None:
    store = Store(tmp_path, small.suite)
    first, cell, *_ = expand(small, Lock())
    store.put(outcome(first, clean))
    rows = choose_rows(read_results(small, store), cell, outcome(cell, attacked), count)
    assert len(set(rows)) == len(rows)
    kinds = [(clean[row], attacked[row]) for row in rows]
    assert counts == tuple(map(kinds.count, [("1", "0"), ("1", "1"), ("0", "0")]))
    assert rows == choose_rows(read_results(small, store), cell, outcome(cell, attacked), count)


def test_what_is_no_cell_to_look_at_is_told(
    small: Suite, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    store = Store(tmp_path, small.suite)
    cells = expand(small, Lock())
    with pytest.raises(
        UserError, match=r"got 'x'; no cell begins with it; allowed: a cell_id of .*csv"
    ):
        find_cell(read_results(small, store), "x")
    with pytest.raises(
        UserError, match=r"got ''; 21 cells begin with it: .* \(CLIP · .*, \.\.\.; all"
    ):
        find_cell(read_results(small, store), "")
    with pytest.raises(UserError, match=r"CLIP · cifar10 · clean \(not run yet\)"):
        find_cell(read_results(small, store), cells[0].id)
    failed = replace(outcome(cells[0], ""), status="failed", reason="no memory")
    store.put(failed)
    with pytest.raises(UserError, match=r"\(failed: no memory\); allowed: cells with status ok"):
        find_cell(read_results(small, store), cells[0].id)
    store.put(outcome(cells[0], "10"))
    assert find_cell(read_results(small, store), cells[0].id[:12])[0] == cells[0]
    captions = {"name": "f", "kind": "webdataset", "path": str(tmp_path), "task": "retrieval"}
    suite = load_suite(suite_file(datasets=[captions]))
    (cell, *_) = expand(suite, Lock())
    with pytest.raises(UserError, match="text_retrieval_recall@1; allowed: cells of accuracy"):
        find_cell(read_results(suite, store), cell.id)


def test_the_command(
    suite_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    measured: Measured,
) -> None:  # fmt: skip
    _, store = measured
    suite = suite_file(**CHANGES)
    (cell,) = cells_of(measured, None)
    call = ["images", str(suite), "--results", str(store.folder.parent), "--device", "cpu"]
    assert run_bench.main([*call, "--cell", cell.id[:10], "--count", "3"]) == 0
    (path,) = capsys.readouterr().out.split()
    assert Path(path) == store.folder / "images" / f"{cell.id}.html"
    assert {kind: len(found) for kind, found in on_page(Path(path).read_text()).items()} == {
        "clean": 3
    }
    assert run_bench.main([*call, "--cell", "nothing"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    own = {"CLIP": {"kind": "python", "target": "tests.models.test_models:Own"}}
    other = load_suite(suite_file(models=own, threats=["white-box"]))
    lock, _ = resolve(other)
    mine = Store(tmp_path / "r", other.suite)
    mine.put_lock(lock)
    clean, *_ = expand(other, lock)
    mine.put(replace(outcome(clean, "1" * 16), sample_ids=lock.datasets["cifar10"].sample_ids))
    call = ["images", str(suite), "--results", str(tmp_path / "r"), "--cell", clean.id]
    assert run_bench.main(call) == 2
    assert "run with --trust to import it" in capsys.readouterr().err


def test_some_images_of_a_folder_and_none_after_a_change(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Here the fingerprint depends on the chosen images, and a page shows fewer of them."""
    rng = np.random.default_rng(0)
    for label, number in product(("cat", "dog"), range(3)):
        path = tmp_path / "images" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)))
    datasets = [{"kind": "folder", "name": "own", "path": str(tmp_path / "images")}]
    models = {"CLIP": SMALL["models"]["CLIP"]}
    suite = load_suite(suite_file(datasets=datasets, models=models, attacks=None, threats=None))
    assert run_suite(suite, results=tmp_path, device="cpu").failed == 0
    measured = suite, Store(tmp_path, suite.suite)
    (cell,) = cells_of(measured, None, "CLIP")
    assert len(looked(measured, cell, 2).images) == 2
    path.write_bytes(png(np.zeros((32, 32, 3), np.uint8)))
    with pytest.raises(UserError, match=r"datasets\.own: .* changed after the run"):
        looked(measured, cell, 2)


@pytest.fixture(scope="module")
def shared() -> Iterator[Tab]:
    if CHROMIUM is None:
        pytest.skip("no chromium; apt-get install chromium")
    with browser() as tab:
        yield tab


@pytest.fixture
def page(
    suite_file: Callable[..., Path], dataset: Callable[..., Path], tmp_path: Path
) -> tuple[Path, ShownCell]:
    """The page of a dataset whose classes have hostile names, of a model with such a name."""
    root = dataset()
    (root / "classnames.txt").write_text(f"{SCRIPT}\n{TAG}\n../../x\n")
    models = {TAG: SMALL["models"]["CLIP"]}
    entry = {"name": "<b>set</b>", "kind": "webdataset", "path": str(root)}
    attack = {"kind": "pgd", "eps": "2/255", "steps": 2, "name": "<i>pgd</i>"}
    suite = load_suite(
        suite_file(models=models, datasets=[entry], attacks=[attack], threats=[{"transfer": TAG}])
    )
    report = run_suite(suite, results=tmp_path / "r", device="cpu")
    assert report.failed == 0
    store = Store(tmp_path / "r", suite.suite)
    cell = expand(suite, store.lock())[-1]
    shown = looked((suite, store), cell, count=12)
    return write_images(suite, store, shown), shown


def test_the_page_in_a_browser(shared: Tab, page: tuple[Path, ShownCell]) -> None:
    path, shown = page
    tab = shared
    tab.look(1320, 900)
    tab.requests.clear()
    tab.complaints.clear()
    tab.open(path)
    assert tab.ask("document.querySelectorAll('.shot img').length") == 3 * len(shown.images)
    assert tab.ask("[...document.images].every((e) => !e.src || e.naturalWidth === 32)")
    assert tab.ask("document.querySelector('h1').textContent") == f"{TAG} on <b>set</b>"
    facts = tab.ask("document.querySelector('.facts').textContent")
    for part in (f"transfer from {TAG}", "<i>pgd</i>", "ε 2/255 in L∞", "of 12 images"):
        assert part in facts, part
    truths = tab.ask("[...document.querySelectorAll('.truth')].map((e) => e.textContent)")
    by_id = {image.sample_id: image for image in shown.images}
    assert truths == [by_id[key].truth for key in in_order(shown)]
    said = tab.ask(
        "[...document.querySelectorAll('.card')].map((card) =>"
        " [...card.querySelectorAll('.said')].map((e) => e.textContent.replace(/^[✓✗]/, '')))"
    )
    for (clean, attacked, norm), key in zip(said, in_order(shown), strict=True):
        image = by_id[key]
        assert image.attacked
        for text, found in ((clean, image.prediction), (attacked, image.attacked.prediction)):
            word = "right" if found.right else "wrong"
            assert text == f"{word}: {found.name} {percent(found.confidence)}%"
        assert norm == f"L∞ {255 * image.attacked.norm:.2f}/255"
    # by keyboard: past the skip link and the theme's button, the first image, and its neighbours
    for _ in range(3):
        tab.press("Tab", 9)
    label = tab.ask("document.activeElement.ariaLabel")
    assert label == f"Enlarge: clean image, {truths[0]}"
    tab.press("Enter", 13, "\r")
    tab.press("ArrowRight", 39)
    assert tab.ask("document.querySelector('#large').open")
    assert tab.ask("document.querySelector('#picture').alt") == "adversarial image"
    assert tab.ask("document.activeElement.textContent") == "adversarial"
    second = "document.querySelectorAll('.shot img')[1].src"
    assert tab.ask(f"document.querySelector('#picture').src === {second}")
    tab.press("Escape", 27)
    assert not tab.ask("document.querySelector('#large').open")
    assert tab.ask("document.activeElement.ariaLabel") == label
    assert tab.ask("getComputedStyle(document.querySelector('.shot img')).imageRendering") == (
        "pixelated"
    )
    assert tab.ask("window.hit === undefined && document.querySelectorAll('i').length === 0")
    assert [url for url in tab.requests if not url.startswith("data:")] == [path.resolve().as_uri()]
    assert tab.complaints == []


def test_the_page_on_a_phone_and_in_the_dark(shared: Tab, page: tuple[Path, ShownCell]) -> None:
    shared.look(390, 844, "dark")
    shared.complaints.clear()
    shared.open(page[0])
    assert shared.ask("document.documentElement.scrollWidth") == 390
    dark = shared.ask("getComputedStyle(document.body).backgroundColor")
    shared.click("#theme")
    assert shared.ask("getComputedStyle(document.body).backgroundColor") != dark
    shared.click(".shot")
    box = shared.ask(
        "(() => { const {left, right} = document.querySelector('#large').getBoundingClientRect();"
        "return [left, right]; })()"
    )
    assert 0 <= box[0] < box[1] <= 390
    shared.click("#picture")
    assert shared.ask("document.querySelector('#picture').alt") == "adversarial image"
    shared.click("#close")
    assert shared.complaints == []
