"""Adversarial images made by others: read, matched, checked, scored; and ours in the same form."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

import run_bench
from bench.core.errors import SuiteError
from bench.core.types import CellResult
from bench.data import load_images
from bench.data.embedded_source import EmbeddedSource
from bench.data.split import Split
from bench.plan.cells import Cell, expand
from bench.plan.missing_files import find_faults
from bench.plan.resolve import resolve
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import load_suite
from bench.trust.reported_number import reported_numbers
from tests.evaluate.test_evaluate import evaluator

CLIP = {"CLIP": {"kind": "nano", "weights": "clip"}}
FARE = {"FARE": {"kind": "nano", "weights": "fare"}}
Writer = Callable[..., Path]


def external(path: object, **changes: Any) -> dict[str, Any]:
    """Return the entries of a suite of eight images with the given images as its only attack."""
    entry = {"kind": "images", "eps": "128/255", "path": str(path), **changes}
    return {"models": CLIP, "samples": 8, "attacks": [entry], "threats": None}


@pytest.fixture
def given(suite_file: Writer) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Return ids and perturbed images of the suite's sample; all are within 128/255."""
    suite = load_suite(suite_file(**external("none")))
    ids = resolve(suite)[0].datasets["cifar10"].sample_ids
    clean = load_images(suite.dataset("cifar10"), ids, "native").images
    noise = np.random.default_rng(0).choice([-128, 128], clean.shape)
    return ids, (clean + noise).clip(0, 255).astype(np.uint8)


def scored(suite: Path, root: Path) -> tuple[CellResult, CellResult]:
    """Return the results of the clean and of the attacked cell."""
    evaluate, cells = evaluator(load_suite(suite), root)
    assert [cell.threat.kind if cell.threat else "" for cell in cells] == ["", "external"]
    clean, attacked = map(evaluate, cells)
    assert attacked.status == "ok", attacked.reason
    assert attacked.queries == 8
    assert attacked.provenance["backwards"] == 0
    return clean, attacked


def write(path: Path, images: NDArray[Any], ids: tuple[str, ...] | None) -> Path:
    """Write images in the form that the suffix of the path says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".npz":
            np.savez_compressed(path, images=images, **({} if ids is None else {"ids": list(ids)}))
        case ".pt":
            tensor = torch.from_numpy(images)
            torch.save(tensor if ids is None else {"images": tensor, "ids": list(ids)}, path)
        case ".safetensors":
            facts = None if ids is None else {"ids": json.dumps(ids)}
            save_file({"images": images}, path, facts)
        case _:
            for key, image in zip(ids or (), images, strict=True):
                (file := path / f"{key}.png").parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.transpose(1, 2, 0)).save(file)
    return path


def outcomes(path: Path, root: Path) -> dict[tuple[str, str], list[CellResult]]:
    """Return the stored results of attacked cells by model and threat."""
    suite = load_suite(path)
    found: dict[tuple[str, str], list[CellResult]] = {}
    for cell, result in read_results(suite, Store(root, suite.suite)).cells_with_results:
        whole = result.whole() if result else None
        if cell.threat is not None and whole is not None:
            found.setdefault((cell.target, cell.threat.kind), []).append(whole)
    return found


def test_exported_images_give_the_same_numbers_and_count_in_the_worst_case(
    suite_file: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["--results", str(tmp_path)]
    run = [*shared, "--device", "cpu"]
    ours: dict[str, Any] = {"models": {**CLIP, **FARE}, "samples": 8}
    pgd = {"kind": "pgd", "eps": "4/255", "steps": 3}
    path = suite_file(**ours, attacks=[pgd], threats=["white-box", {"transfer": "CLIP"}])
    assert run_bench.main(["run", str(path), *run, "--no-check"]) == 0
    before = outcomes(path, tmp_path)
    capsys.readouterr()
    out = tmp_path / "ours"
    assert run_bench.main(["export", str(path), *shared, "--adversarial", str(out)]) == 0
    *_, file, without = capsys.readouterr().out.splitlines()
    assert file == str(out / "pgd@4-255-from-CLIP" / "cifar10.safetensors")
    assert without.startswith("2 cells without a file: white-box images are not stored")

    given = {"kind": "images", "eps": "4/255", "path": file.replace("cifar10", "{dataset}")}
    attacks = [given, {"kind": "fgsm", "eps": "4/255"}]
    path = suite_file(**ours, suite="again", attacks=attacks, threats=["white-box"], seeds=[0, 1])
    assert run_bench.main(["run", str(path), *run]) == 0
    after = outcomes(path, tmp_path)
    board = pd.read_csv(tmp_path / "again" / "leaderboard.csv").set_index(["model", "threat"])
    for model in ours["models"]:
        (transferred,), (external,) = before[model, "transfer"], after[model, "external"]
        assert np.array_equal(transferred.correct, external.correct)
        assert np.array_equal(transferred.distance, external.distance)
        assert external.flags == ()
        own = [each.correct for each in after[model, "white-box"]]
        assert len(own) == 2  # a seed each, which given images do not have
        worst = np.logical_and.reduce([external.correct, *own])
        assert board.loc[(model, "white-box"), "worst"] == pytest.approx(worst.mean())
        assert board.loc[(model, "external"), "worst"] == pytest.approx(external.correct.mean())
    results = read_results(load_suite(path), Store(tmp_path, "again"))
    examined = reported_numbers(results.cells_with_results)  # of the suite's own attacks alone
    assert {number.reported.attack for number in examined.values()} == {"fgsm"}
    cell = after["CLIP", "external"][0].cell_id
    assert run_bench.main(["images", str(path), *run, "--cell", cell, "--count", "2"]) == 0
    page = (tmp_path / "again" / "images" / f"{cell}.html").read_text()
    assert "made by others" in page and "differs" not in page


@pytest.mark.parametrize("name", ["a.npz", "b.pt", "c.safetensors", "folder"])
def test_each_form_is_read_and_what_is_beyond_the_budget_or_missing_breaks_nothing(
    suite_file: Writer, tmp_path: Path, given: tuple[tuple[str, ...], NDArray[np.uint8]], name: str
) -> None:
    ids, images = given
    changed = images.copy()
    changed[0] = 255 - images[0]  # far from the clean image
    outside = "s0000000"
    assert outside not in ids  # an image of the dataset, but not of the sample
    path = write(tmp_path / name, np.concatenate([changed[:6], images[:1]]), (*ids[:6], outside))
    clean, attacked = scored(suite_file(**external(path)), tmp_path)
    assert attacked.flags == ("beyond-eps=1", "missing=2")
    assert attacked.sample_ids == ids
    untouched = [0, 6, 7]
    assert attacked.correct[untouched].tolist() == clean.correct[untouched].tolist()
    assert not attacked.distance[untouched].any()
    assert (attacked.distance[1:6] > 100 / 255).all()
    floats = write(tmp_path / "floats.npz", images.astype(np.float32) / 255, None)
    _, whole = scored(suite_file(**external(floats)), tmp_path)
    assert whole.flags == ("by-order",)
    assert whole.correct[1:6].tolist() == attacked.correct[1:6].tolist()
    assert whole.correct.mean() < clean.correct.mean()


def test_the_content_of_the_files_is_in_the_identity_and_the_path_is_not(
    suite_file: Writer, tmp_path: Path, given: tuple[tuple[str, ...], NDArray[np.uint8]]
) -> None:
    ids, images = given

    def cells(**changes: Any) -> list[Cell]:
        suite = load_suite(suite_file(**{**external(tmp_path / "{dataset}"), **changes}))
        return expand(suite, resolve(suite)[0])

    folder = write(tmp_path / "cifar10", images, ids)
    clean, first = cells()
    other = write(tmp_path / "other", images, ids)
    elsewhere = external(other, name="theirs")["attacks"]
    assert [cell.id for cell in cells(attacks=elsewhere)] == [clean.id, first.id]
    changed = images[0].copy()
    changed[0, 0, 0] ^= 1
    write(folder, changed[None], ids[:1])
    (same, second) = cells()
    assert same.id == clean.id
    assert second.id != first.id
    evaluate, (*_, last) = evaluator(load_suite(suite_file(**external(folder))), tmp_path)
    write(folder, images, ids)
    result = evaluate(last)
    assert result.status == "failed"
    assert "changed after the run had identified it" in (result.reason or "")
    # of two datasets, one has images
    two = {**external(tmp_path / "{dataset}"), "datasets": ["cifar10", "digits"]}
    evaluate, found = evaluator(load_suite(suite_file(**two)), tmp_path)
    skipped = evaluate(found[-1])
    assert (found[-1].dataset, skipped.status) == ("digits", "skip")
    assert f"images has no images of digits: {tmp_path / 'digits'} is missing" in str(
        skipped.reason
    )
    assert not find_faults(load_suite(suite_file(**two)))
    with pytest.raises(SuiteError, match=r"attacks\.0\.path: got .*a path with \{dataset\}"):
        load_suite(suite_file(**{**external(folder), "datasets": ["cifar10", "digits"]}))


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "ran")


def test_faults_of_the_files_are_told_before_anything_is_computed(
    suite_file: Writer,
    tmp_path: Path,
    given: tuple[tuple[str, ...], NDArray[np.uint8]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids, images = given
    mark, count = tmp_path / "ran", len(ids)

    def fault(path: Path) -> str:
        (found,) = find_faults(load_suite(suite_file(**external(path))))
        assert found.key == "attacks.0.path"
        return found.reason

    strange = ("cat.7", *ids[1:])
    for name in ("strange.npz", "strange"):
        reason = fault(write(tmp_path / name, images, strange))
        assert "1 of its 8 images have ids that are not of cifar10: 'cat.7" in reason
    assert "several images of" in fault(write(tmp_path / "a.pt", images, (ids[0], *ids[:7])))
    assert f"7 images without ids; needed: `ids`, or exactly the {count}" in fault(
        write(tmp_path / "b.npz", images[:7], None)
    )
    # of another size, type or form
    large = images.repeat(2, axis=2).repeat(2, axis=3)
    suite = load_suite(
        suite_file(
            **external(write(tmp_path / "c.npz", large, ids)),
            protocol={"preset": "radapt-paper", "pixels": {"size": 32, "fit": "squash"}},
        )
    )
    assert "images of 64x64 pixels; needed: 32x32" in find_faults(suite)[0].reason
    half = images.astype(np.float16) / 255
    assert "the type float16" in fault(write(tmp_path / "d.npz", half, ids))
    assert "the shape [8, 32, 32, 3]" in fault(
        write(tmp_path / "e.safetensors", images.transpose(0, 2, 3, 1).copy(), ids)
    )
    assert "no such file or folder" in fault(tmp_path / "absent.npz")
    # hostile
    np.savez(tmp_path / "g.npz", images=images, ids=np.array([Hostile(mark)], dtype=object))
    assert "Python objects" in fault(tmp_path / "g.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 3, 224, 224)}
    )
    with zipfile.ZipFile(tmp_path / "h.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    assert "for which it is too small" in fault(tmp_path / "h.npz")
    torch.save(torch.from_numpy(images), tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "i.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, bytes(entry.file_size))
    assert "unpacked; allowed: " in fault(tmp_path / "i.pt")
    torch.save({"images": torch.from_numpy(images), "ids": Hostile(mark)}, tmp_path / "f.pt")
    suite_path = suite_file(**external(tmp_path / "f.pt"))
    assert run_bench.main(["run", str(suite_path), "--results", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "attacks.0.path: " in message and "may run code" in message
    assert not mark.exists() and not (tmp_path / "small" / "cells").exists()


def test_a_dataset_is_read_once_for_all_images_made_of_it(
    suite_file: Writer,
    tmp_path: Path,
    given: tuple[tuple[str, ...], NDArray[np.uint8]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids, images = given
    entry = external(write(tmp_path / "a.npz", images, ids))["attacks"][0]
    attacks = [{**entry, "name": name} for name in ("theirs", "others")]
    suite = load_suite(suite_file(**{**external("none"), "attacks": attacks}))
    read, opened = list[str](), EmbeddedSource.open

    def counted(self: EmbeddedSource, seed: int | None = None) -> Split:
        read.append(self.spec.name)
        return opened(self, seed)

    monkeypatch.setattr(EmbeddedSource, "open", counted)
    assert not find_faults(suite)
    assert read == ["cifar10"]


def test_pixels_outside_of_0_and_1_fail_the_cell_with_their_range(
    suite_file: Writer, tmp_path: Path, given: tuple[tuple[str, ...], NDArray[np.uint8]]
) -> None:
    ids, images = given
    path = write(tmp_path / "a.npz", images.astype(np.float32), ids)
    evaluate, (_, attacked) = evaluator(load_suite(suite_file(**external(path))), tmp_path)
    result = evaluate(attacked)
    assert result.status == "failed"
    assert "got pixels from 0 to 255; allowed: " in (result.reason or "")
