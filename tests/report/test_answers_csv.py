"""What models said, in tables and on the page: whole, harmless, and not picked by anyone."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.report.export import export
from bench.report.export.answers_csv import ANSWER_COLUMNS, answers_frame, examples
from bench.results.spreadsheet import unescaped
from bench.results.tables import load_scored
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from tests.results.test_tables import LOCK
from tests.results.test_tables import SUITE as WORDLESS
from tests.results.test_tables import store as wordless  # noqa: F401
from tests.support.worded import ANSWERING, CAPTIONING, HOSTILE, NAMES, N, filled, scores, suite_of

SAID = (HOSTILE, '=HYPERLINK("http://x.test")', "two\ufffd\nlines\ufffd[31m\ufffd?",
        "naïve, 日本", "")  # fmt: skip


def read(folder: Path) -> pd.DataFrame:
    texts = {name: "str" for name in ANSWER_COLUMNS if name not in ("score", "seed")}
    return unescaped(pd.read_csv(folder / "answers.csv", dtype=texts, keep_default_na=False))


def test_every_answer_comes_back_from_the_table(tmp_path: Path) -> None:
    suite = suite_of(ANSWERING)
    store = filled(tmp_path, suite)
    export(read_results(suite, store))
    found = read(store.folder)
    assert tuple(found.columns) == ANSWER_COLUMNS
    assert len(found) == 3 * 2 * (1 + 2 * 2) * N
    assert set(found["text"]) == set(SAID)
    assert set(found["model"]) == set(NAMES)
    rows = found[found["cell_id"] == found["cell_id"].iloc[0]]
    assert rows["sample_id"].tolist() == [f"{i:03}?q" for i in range(N)]
    assert rows["text"].tolist() == [*SAID] * (N // len(SAID))
    item = load_scored(read_results(suite, store))[0]
    assert rows["score"].to_numpy() == pytest.approx(scores(item.cell), abs=1e-5)


def test_no_cell_of_the_table_is_a_formula(tmp_path: Path) -> None:
    suite = suite_of(CAPTIONING)
    store = filled(tmp_path, suite)
    export(read_results(suite, store))
    raw = pd.read_csv(store.folder / "answers.csv", dtype="str", keep_default_na=False)
    assert not [v for column in raw for v in raw[column] if v.startswith(("=", "+", "-", "@"))]
    assert "'=HYPERLINK" in (store.folder / "answers.csv").read_text()


def test_examples_are_the_same_images_of_every_row(tmp_path: Path) -> None:
    suite = suite_of(ANSWERING)
    found = examples(suite, load_scored(read_results(suite, filled(tmp_path, suite))))
    assert len(found) == 6  # three models, two threats
    for of_row in found.values():
        assert [e["dataset"] for e in of_row] == ["textvqa"] * 3 + ["pope"] * 3
        assert {e["column"] for e in of_row} == {"apgd-text@4/255"}  # it leaves the least
    assert len({tuple(str(e["sample"]) for e in of_row) for of_row in found.values()}) == 1
    (first, *_) = found[NAMES[0], "white-box", ""]
    item = next(
        i
        for i in load_scored(read_results(suite, Store(tmp_path, "worded")))
        if i.cell.attack is None
    )
    assert item.result is not None
    place = item.result.sample_ids.index(str(first["sample"]))
    assert first["clean"] == (SAID[place % len(SAID)], pytest.approx(scores(item.cell)[place]))


def test_without_attacks_the_answers_stand_alone(tmp_path: Path) -> None:
    suite = suite_of(CAPTIONING, attacked=False)
    found = examples(suite, load_scored(read_results(suite, filled(tmp_path, suite))))
    assert [*found] == [(name, "", "") for name in NAMES]
    assert all(e["attacked"] is None and e["clean"] for of_row in found.values() for e in of_row)


def test_nothing_is_shown_of_models_without_words(tmp_path: Path) -> None:
    suite = Suite.model_validate({**WORDLESS.model_dump(exclude={"attacks", "threats"})})
    store = Store(tmp_path, suite.suite)
    store.put_lock(LOCK)
    (cell, *_) = expand(suite, LOCK)
    ids = LOCK.datasets[cell.dataset].sample_ids
    some = np.arange(len(ids)) > 2
    store.put(CellResult(cell.id, "ok", some, ids, np.zeros(len(ids), np.float32), 1, 1, {}))
    assert examples(suite, load_scored(read_results(suite, store))) == {}


def test_long_answers_are_cut_on_the_page_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.worded.TEXTS", ("word " * 1000,))
    suite = suite_of(CAPTIONING)
    scored = load_scored(read_results(suite, filled(tmp_path, suite)))
    (example, *_) = examples(suite, scored)[NAMES[0], "white-box", ""]
    assert example["clean"] == (f"{('word ' * 60)}…", pytest.approx(example["clean"][1]))  # type: ignore[index]
    assert set(answers_frame(suite, scored)["text"]) == {"word " * 1000}


def test_answers_cannot_end_the_data_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.worded.TEXTS", (HOSTILE,))
    suite = suite_of(ANSWERING)
    store = filled(tmp_path, suite)
    export(read_results(suite, store))
    page = (store.folder / "leaderboard.html").read_text()
    assert "<img" not in page
    assert '<a href="answers.csv">' in page
    inside = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert inside is not None
    said = json.loads(inside[1])["answers"]
    assert HOSTILE in [e[side][0] for row in said for e in row for side in ("clean", "attacked")]


@pytest.mark.parametrize(
    ("datasets", "sample", "worst"),
    [
        (ANSWERING[1:], "question", "answers that survive every attack at the largest"),
        (ANSWERING, "question", "the lowest score of each question under any attack"),
        (CAPTIONING, "image", "the lowest score of each image under any attack"),
    ],
    ids=["right or wrong", "scored", "captions"],
)
def test_what_is_counted_is_called_what_it_is(
    datasets: tuple[dict[str, str], ...], sample: str, worst: str, tmp_path: Path
) -> None:
    store = filled(tmp_path, suite := suite_of(datasets))
    export(read_results(suite, store))
    page = (store.folder / "leaderboard.html").read_text()
    assert f"at most <b>{N}</b> {sample}s per dataset" in page
    assert worst in page
    table = (store.folder / "leaderboard.md").read_text()
    lowest = f"averages the lowest score of each {sample}"
    assert (f"counts the {worst}" if worst.startswith("answers") else lowest) in table


def test_models_without_words_have_neither(wordless: Store) -> None:  # noqa: F811
    export(read_results(WORDLESS, wordless))
    assert not (wordless.folder / "answers.csv").exists()
    page = (wordless.folder / "leaderboard.html").read_text()
    assert "answers.csv</a>" not in page
    assert "images per dataset" in page
    assert "images that survive every attack" in page
    assert '"answers":[]' in page
