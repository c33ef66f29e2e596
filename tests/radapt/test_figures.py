"""Sweeps read off a results table, and figures: what they write, and that it stays the same."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radapt.analysis.points import accuracy_points, published_ablation
from radapt.analysis.sweeps import positions, published_points, sweep_points

PUBLISHED = Path(__file__).parents[2] / "results" / "published"


def cells(names: list[str]) -> pd.DataFrame:
    """A table as the harness writes it: clean, white-box and transfer at two budgets."""
    rows = []
    for index, model in enumerate(names):
        for dataset in ("cifar10", "digits"):
            clean = 0.9 - index / 100
            common = {"model": model, "dataset": dataset, "n": 100, "status": "ok"}
            rows.append({**common, "attack": "clean", "value": clean})
            for threat, source in (("white-box", None), ("transfer", "CLIP")):
                for eps in ("2/255", "10/255"):
                    attack = {"attack": "apgd-ce", "eps": eps, "threat": threat, "source": source}
                    rows.append({**common, **attack, "value": clean / 2})
    frame = pd.DataFrame(rows)
    return frame.assign(ci_low=frame["value"] - 0.1, ci_high=frame["value"] + 0.1)


ALPHAS = ["CLIP", *(f"R-Adapt+[alpha={alpha}]" for alpha in (0.2, 0, 1.4))]


def test_points_of_a_sweep() -> None:
    points = sweep_points(cells(ALPHAS), "alpha")
    assert list(points.columns[:3]) == ["series", "x", "dataset"]
    assert set(points["series"]) == {"R-Adapt+"} and set(points["x"]) == {"0.2", "0", "1.4"}
    assert set(points["eps"]) == {"", "10/255"}  # the largest budget, as a number
    assert set(points["threat"]) == {"", "white-box", "transfer from CLIP"}
    assert len(points) == 3 * 2 * 3
    row = points[(points["x"] == "0") & (points["threat"] == "white-box")].iloc[0]
    assert row["value"] == pytest.approx(0.44) and row["measure"] == "robust" and row["n"] == 100
    small = sweep_points(cells(ALPHAS), "alpha", eps="2/255", references=["CLIP"])
    assert set(small["eps"]) == {"", "2/255"}
    assert set(small.loc[small["series"] == "CLIP", "x"]) == {""}


def test_other_swept_fields_stay_in_the_name() -> None:
    names = ["A[alpha=0.2,cutoff=none]", "A[alpha=0.2,cutoff=40]", "B[modules=[Emb, B2..],k=1]"]
    over_alpha = sweep_points(cells(names), "alpha")
    assert set(over_alpha["series"]) == {"A[cutoff=none]", "A[cutoff=40]"}
    over_cutoff = sweep_points(cells(names), "cutoff")
    assert set(over_cutoff["series"]) == {"A[alpha=0.2]"}
    assert set(over_cutoff["x"]) == {"none", "40"}
    assert set(sweep_points(cells(names), "modules")["series"]) == {"B[k=1]"}


def test_failed_cells_are_no_points() -> None:
    table = cells(ALPHAS)
    table.loc[table["model"] == ALPHAS[1], "status"] = "failed"
    assert set(sweep_points(table, "alpha")["x"]) == {"0", "1.4"}


def test_what_there_is_to_draw_is_told() -> None:
    with pytest.raises(ValueError, match=r"no model sweeps 'cutoff'; models: CLIP, R-Adapt\+"):
        sweep_points(cells(ALPHAS), "cutoff")
    with pytest.raises(ValueError, match="no cells of pgd@None; allowed: clean@, apgd-ce@2/255"):
        sweep_points(cells(ALPHAS), "alpha", attack="pgd")
    with pytest.raises(ValueError, match="no cells of apgd-ce@1/255"):
        sweep_points(cells(ALPHAS), "alpha", eps="1/255")
    with pytest.raises(ValueError, match=r"references: got \['FARE'\]; allowed: CLIP"):
        sweep_points(cells(ALPHAS), "alpha", references=["FARE"])


def test_positions_on_the_axis() -> None:
    assert positions(["1.0", "0", "0.2"]) == {"0": 0.0, "0.2": 0.2, "1.0": 1.0}
    assert list(positions(["none", "60", "10", "50"]).items())[-1] == ("none", 70.0)
    assert positions(["none"]) == {"none": 1.0}
    modules = ["Head", "B10", "B2", "B1", "B1-Attn", "Emb", "none", "B1-MLP"]
    order = ["none", "Emb", "B1-Attn", "B1-MLP", "B1", "B2", "B10", "Head"]
    assert list(positions(modules)) == order


@pytest.mark.parametrize("name", ["alpha", "cutoff", "replacement"])
def test_published_sweeps(name: str) -> None:
    points = published_points(PUBLISHED / f"{name}.csv")
    assert points["value"].between(0, 1).all() and set(points["measure"]) == {"clean", "robust"}
    assert not points.duplicated(["series", "dataset", "x", "measure"]).any()
    assert not points["x"].str.contains(r"\.\.").any() and (points["x"] != "").all()


def test_published_sweep_agrees_with_the_published_table() -> None:
    """R-Adapt+ of the ablation is the sweep at alpha 0.8."""
    sweep = published_points(PUBLISHED / "alpha.csv")
    plus = sweep[(sweep["series"] == "R-Adapt+") & (sweep["x"] == "0.8")]
    table = pd.read_csv(PUBLISHED / "radapt.csv")
    table = table[(table["table"] == "Table 6") & (table["model"] == "R-Adapt+")]
    table = table.assign(measure=np.where(table["attack"] == "clean", "clean", "robust"))
    both = plus.merge(table, on=["dataset", "measure"])
    assert len(both) == 8
    assert np.allclose(100 * both["value"], both["value_percent"])


def test_points_of_an_ablation() -> None:
    points = accuracy_points(cells(["CLIP", "FRA", "none"]), eps="2/255")
    assert list(dict.fromkeys(points["series"])) == ["CLIP", "FRA", "none"]
    assert set(points["eps"]) == {"", "2/255"} and set(points["x"]) == {""}
    assert len(points) == 3 * 2 * 3


def test_published_ablation_is_named_as_the_suite_is() -> None:
    points = published_ablation(PUBLISHED / "radapt.csv")
    assert list(dict.fromkeys(points["series"])) == ["CLIP", "FRA", "GIF", "FRA+GIF"]
    digest = points.set_index(["series", "dataset", "measure"])["value"]
    assert digest["FRA+GIF", "caltech256", "robust"] == pytest.approx(0.825)
    assert digest["GIF", "eurosat", "clean"] == pytest.approx(0.52)
    with pytest.raises(ValueError, match=r"alpha\.csv: no rows of Table 6"):
        published_ablation(PUBLISHED / "alpha.csv")


def draw(name: str, folder: Path) -> Path:
    """Draw one figure, of the same data each time."""
    figures: Any = pytest.importorskip("radapt.figures", exc_type=ImportError)
    rng = np.random.default_rng(0)
    stem = folder / name
    match name:
        case "alpha":
            published = PUBLISHED / "alpha.csv"
            figures.curves(cells(ALPHAS), "alpha", stem, references=["CLIP"], published=published)
        case "modules":
            names = ("Emb", "..B1-Attn", "..B1", "..Head")
            figures.curves(cells([f"FARE[modules={name}]" for name in names]), "modules", stem)
        case "cka":
            maps = {"FARE": rng.random((6, 6)), "TeCoA": rng.random((6, 24))}
            figures.cka_maps(maps, stem, published=PUBLISHED / "cka.csv")
        case "ablation":
            models = cells(["CLIP", "FRA", "GIF", "FRA+GIF"])
            figures.ablation(models, stem, published=PUBLISHED / "radapt.csv")
        case "shift":
            figures.spectral_maps({"FARE": rng.random((14, 14)) - 0.5}, stem, limit=0.3)
        case "attention":
            maps = {name: rng.random((2, 4, 4)) for name in ("CLIP", "FARE")}
            figures.attention_overlays(rng.random((2, 3, 32, 32)), maps, stem)
        case "heads":
            figures.dependence_bars({"CLIP": rng.random(4), "FARE": rng.random(4)}, stem)
    return stem


FIGURES = ["alpha", "modules", "cka", "ablation", "shift", "attention", "heads"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_column_wide_and_its_text_is_readable(name: str, tmp_path: Path) -> None:
    picture = Path(f"{draw(name, tmp_path)}.svg").read_text()
    width = re.search(r'<svg [^>]*width="([\d.]+)pt"', picture)
    assert width is not None and 8.4 < float(width[1]) / 72 * 2.54 < 8.6
    # a glyph's outline is drawn at 100 units a size, and scaled to points
    sizes = [100 * float(scale) for scale in re.findall(r"scale\(([\d.]+) -", picture)]
    assert sizes and min(sizes) >= 6


def test_series_differ_without_their_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves: Any = pytest.importorskip("radapt.figures.curves", exc_type=ImportError)
    drawn: list[Any] = []
    monkeypatch.setattr(curves, "write", lambda figure, table, stem: drawn.append(figure))
    draw("alpha", tmp_path)
    lines = {line.get_label(): line for line in drawn[0].legends[0].get_lines()}
    series = [line for name, line in lines.items() if name not in ("clean", "robust")]
    assert len(series) == 4 and len({line.get_marker() for line in series}) == 4
    assert lines["clean"].get_linestyle() != lines["robust"].get_linestyle()
    assert lines["clean"].get_markerfacecolor() == "white"


@pytest.mark.parametrize("name", ["modules", "cka", "ablation", "attention", "heads"])
def test_a_figure_is_written_the_same_each_time(name: str, tmp_path: Path) -> None:
    one, other = (draw(name, tmp_path / folder) for folder in ("a", "b"))
    for suffix in ("csv", "png", "svg"):
        first, second = (Path(f"{stem}.{suffix}").read_bytes() for stem in (one, other))
        assert first == second and len(first) > 100
    import matplotlib as mpl

    assert mpl.rcParams["svg.hashsalt"] is None  # a figure's style stays with it


def test_the_table_of_curves_has_the_published_ones(tmp_path: Path) -> None:
    table = pd.read_csv(f"{draw('alpha', tmp_path)}.csv")
    assert set(table["threat"].dropna()) == {"white-box", "transfer from CLIP", "published"}
    assert set(table.loc[table["threat"] == "published", "dataset"]) >= {"eurosat", "sun397"}


def test_tables_of_maps_count_as_the_axes_do(tmp_path: Path) -> None:
    cka = pd.read_csv(f"{draw('cka', tmp_path)}.csv")
    measured, published = (cka[cka["source"] == name] for name in ("measured", "published"))
    assert len(measured) == 36 + 144 and len(published) == 32
    assert measured["block of CLIP"].max() == 6 and measured["block"].min() == 1
    first = published[(published["block of CLIP"] == 1) & (published["block"] == 1)]
    assert dict(zip(first["tower"], first["cka"], strict=True)) == {"FARE": 0.25, "TeCoA": 0.3}
    shift = pd.read_csv(f"{draw('shift', tmp_path)}.csv")
    assert (shift["vertical"].min(), shift["vertical"].max()) == (-7, 6)


def test_the_core_needs_neither_tables_nor_figures() -> None:
    code = (
        "import sys, radapt, radapt.graft, radapt.analysis; "
        "found = {'matplotlib', 'pandas', 'open_clip', 'transformers'} & set(sys.modules); "
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
