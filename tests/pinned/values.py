"""Every value of a small run: what came of each image of each cell."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from safetensors.numpy import load_file

from bench import load_results, load_suite, run_suite
from bench.data import index_dataset, load_images
from bench.store.results_folder import Store
from bench.suite.specs import NanoDataset
from tests.conftest import png, write_shard

SUITES = Path(__file__).parent / "small_run.yaml"
CLOSE = 1e-3  # in [0,1] pixels: distances may differ that much between machines
_PIXELS = 16  # of each craft
_OTHER = _PIXELS // 4  # so many of them may differ: the sign of a gradient near 0 is anyone's
_NAMED = ["model", "dataset", "metric", "threat", "source", "attack", "norm", "eps", "seed"]
_KEPT = ["status", "n", "value", "queries", "flags"]


def small_run() -> dict[str, dict[str, Any]]:
    """Return what is measured: suites as they are written, by name."""
    return {raw["suite"]: raw for raw in yaml.safe_load(SUITES.read_text("utf-8"))}


def values(raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Run a suite in a fresh folder, and return by the words that name a cell what came of it.

    Returns:
        `status`, `n`, `value`, `queries` and `flags` as in `cells.csv`; per image whether it is
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "suite.yaml").write_text(yaml.safe_dump({**raw, "datasets": _sets(raw, root)}))
        suite = load_suite(root / "suite.yaml")
        for attack in raw["attacks"]:
            if attack["kind"] == "images":
                _write_given(root / attack["path"])
        report = run_suite(
            suite, results=root / "results", device="cpu", batch=8, check=False, trust=True
        )
        store = Store(root / "results", suite.suite)
        return dict(_read(load_results(report.folder), store))


def _sets(raw: Mapping[str, Any], root: Path) -> list[Any]:
    """Return the datasets of a suite, with a folder of captions in place of a path to it."""
    sets = []
    for entry in raw["datasets"]:
        if isinstance(entry, dict) and "path" in entry:
            _captioned(root / entry["path"])
            entry = {**entry, "path": str(root / entry["path"])}
        sets.append(entry)
    return sets


def _captioned(root: Path) -> None:
    """Write embedded images with two captions each."""
    spec = NanoDataset(name="cifar10")
    data = load_images(spec, index_dataset(spec, 8, 0).sample_ids, "native")
    files = []
    for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        name = data.classes[label]
        text = f"a photo of a {name}\na picture of the {name} number {number}\n"
        files.append((f"s{number}.png", png(image.transpose(1, 2, 0))))
        files.append((f"s{number}.txt", text.encode()))
    write_shard(root / "test" / "0.tar", files)
    (root / "test" / "nshards.txt").write_text("1\n")
    (root / "dataset_type.txt").write_text("retrieval\n")


def _write_given(folder: Path) -> None:
    """Write perturbed copies of three embedded images; the last is farther than 160/255 away."""
    spec = NanoDataset(name="cifar10")
    data = load_images(spec, index_dataset(spec, 8, 0).sample_ids, "native")
    signs = np.random.default_rng(0).choice([-1, 1], data.images.shape)
    folder.mkdir()
    for key, image, sign, size in zip(
        data.sample_ids, data.images, signs, (150, 150, 170), strict=False
    ):
        pixels = (image + size * sign).clip(0, 255).astype(np.uint8)
        (folder / f"{key}.png").write_bytes(png(pixels.transpose(1, 2, 0)))


def _read(cells: pd.DataFrame, store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in cells.to_dict("records"):
        result = store.get(str(row["cell_id"]))
        assert result is not None
        said = {key: None if pd.isna(row[key]) else row[key] for key in _KEPT}
        if said["value"] is not None:
            said |= {"n": int(row["n"]), "value": round(row["value"], 6)}
            said["correct"] = "".join(map(str, result.correct.astype(int)))
            said["distance"] = _rounded(result.distance)
        else:
            said["reason"] = row["reason"]
        craft = store.crafts / f"{row['craft_id']}.0000000.safetensors"
        if row["craft_id"] and craft.exists():
            said["pixels"] = _pixels(craft)
        if result.scores is not None:
            said["scores"] = _rounded(result.scores)
        if result.texts:
            said["texts"] = " | ".join(result.texts)
        if result.reached is not None:
            said["reached"] = "".join(map(str, result.reached.astype(int)))
        named = (str(row[key]) for key in _NAMED if not pd.isna(row[key]) and row[key] != "")
        yield " ".join(named), said


def _pixels(craft: Path) -> str:
    """Return pixels from all over the perturbations or images of a craft."""
    (kept,) = load_file(craft).values()
    flat = kept.reshape(-1)
    places = np.linspace(0, flat.size - 1, _PIXELS).astype(int)
    return _rounded(flat[places].astype(float))


def _rounded(numbers: Any) -> str:
    """Return numbers as one text; one number alone where all are equal."""
    kept = [f"{number:.5f}" for number in numbers]
    return kept[0] if len(set(kept)) == 1 else " ".join(kept)


def differ(key: str, then: Any, now: Any, close: float = CLOSE) -> bool:
    """Return whether a value of a cell has moved, by more than machines differ where they do."""
    if key not in ("distance", "scores", "pixels") or then is None or now is None:
        return bool(then != now)
    old, new = (np.array(text.split(), float) for text in (then, now))
    if 1 not in (len(old), len(new)) and len(old) != len(new):
        return True
    return int((np.abs(old - new) > close).sum()) > (_OTHER if key == "pixels" else 0)
