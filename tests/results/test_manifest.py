"""What stands behind each number."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from bench import load_results
from bench.results.attack_summary import settings
from bench.run.suite_run import run_suite
from bench.suite.specs import AnyAttack
from bench.suite.specs.presets import expand_attacks

Write = Callable[..., Path]


def read(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((folder / "manifest.json").read_text())
    return found


def test_every_row_has_its_entry(suite_file: Write, tmp_path: Path) -> None:
    report = run_suite(suite_file(), results=tmp_path)
    cells, entries = load_results(report.folder), read(report.folder)
    assert list(entries) == list(cells["cell_id"])
    for row in cells.to_dict("records"):
        entry = entries[row["cell_id"]]
        assert (entry["model"], entry["dataset"]) == (row["model"], row["dataset"])
        assert entry["images"] == row["n"]
        assert entry.get("eps", "") == row["eps"]
        assert entry["ran_on"]["activation"] == "gelu"
        assert entry["ran_on"]["model_pixels"] == "32x32"
        assert entry["ran_on"]["torch"]
        assert entry["pixels"] == "native"
        assert entry["resize_in_model"] == "bicubic antialias clamp"
        assert entry["templates"] == ["a photo of a {c}"]
    attacked = [entry for entry in entries.values() if "attack" in entry]
    assert {entry["steps"] for entry in attacked} == {"3", "5"}
    assert {entry["craft"] for entry in attacked} == {"success", "full"}
    adapted = next(entry for entry in entries.values() if entry["model"] == "R-Adapt_CLIP")
    clip = next(entry for entry in entries.values() if entry["model"] == "CLIP")
    assert adapted["weights"]["base"] == adapted["weights"]["anchor"]["white"] == clip["weights"]


def test_what_changes_a_number_changes_its_entry(suite_file: Write, tmp_path: Path) -> None:
    def entry(**changes: Any) -> dict[str, Any]:
        path = suite_file(attacks=None, threats=None, **changes)
        folder = run_suite(path, results=tmp_path / str(len(list(tmp_path.iterdir())))).folder
        found = read(folder)
        return next(item for item in found.values() if item["model"] == "CLIP")

    def protocol(**changes: Any) -> dict[str, Any]:
        return {"preset": "radapt-paper", "pixels": "native", **changes}

    plain = entry()
    for key, other in {
        "image_ids": entry(samples=8),
        "seed": entry(seed=1),
        "templates_hash": entry(protocol=protocol(templates=["a {c}"])),
        "pixels": entry(protocol=protocol(pixels={"size": 48, "fit": "crop", "short": 64})),
        "resize_in_model": entry(protocol=protocol(resize={"antialias": False})),
        "class_names": entry(datasets=["digits"]),
    }.items():
        assert plain[key] != other[key]
    assert entry() == plain


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        ({"kind": "pgd", "steps": 7, "restarts": 2}, ("pgd", "7", "2", "0")),
        (
            {
                "kind": "ensemble",
                "attacks": [{"kind": "apgd-ce", "restarts": 5}, {"kind": "apgd-t"}],
            },
            ("apgd-ce+apgd-t", "100+100", "5+1", "0+9"),
        ),
        (
            {"kind": "pyautoattack", "attack": "standard"},
            ("apgd-ce+apgd-t+fab-t+square", "100+100+100+5000", "1+1+1+1", "0+9+9+0"),
        ),
        ({"kind": "torchattacks", "attack": "FGSM"}, ("FGSM", "1", "1", "0")),
        ({"kind": "noise", "draws": 3}, ("noise", "3", "1", "0")),
    ],
)
def test_settings_of_an_attack(attack: dict[str, Any], expected: tuple[str, ...]) -> None:
    ((_, entry),) = expand_attacks([{**attack, "eps": "1/255"}])
    spec = TypeAdapter(AnyAttack).validate_python(entry)
    assert tuple(settings(spec).values()) == expected


@pytest.mark.parametrize(
    ("storage", "white_box", "transfer"),
    [("float16", "float32", "float16"), ("uint8-truncate", "uint8-truncate", "uint8-truncate")],
)
def test_the_form_in_which_images_were_judged(
    suite_file: Write, tmp_path: Path, storage: str, white_box: str, transfer: str
) -> None:
    protocol = {"preset": "radapt-paper", "pixels": "native", "storage": storage}
    attacks = [{"kind": "fgsm", "eps": "2/255"}]
    path = suite_file(samples=4, protocol=protocol, attacks=attacks)
    found = read(run_suite(path, results=tmp_path).folder)
    judged = {entry["threat"]: entry["judged_as"] for entry in found.values() if "threat" in entry}
    assert judged == {"white-box": white_box, "transfer": transfer}
