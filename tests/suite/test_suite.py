from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SuiteError
from bench.suite.load import load_suite
from tests.conftest import SMALL

NANO = {"kind": "nano", "weights": "clip"}


def test_shipped_suites_load() -> None:
    suites = sorted(Path("suites").glob("*.yaml"))
    assert suites
    for path in suites:
        assert load_suite(path).suite == path.stem


def test_all_faults_are_told_at_once(suite_file: Callable[..., Path]) -> None:
    path = suite_file(
        models={
            "CLIP": {"kind": "nano", "weights": "clipp"},
            "X": {"kind": "nonsense"},
            "R": {
                "kind": "radapt",
                "base": "NOWHERE",
                "anchor": {"white": "CLIP"},
                "alpha": 1.0,
                "cutof": 40,
            },
            "G": {"kind": "graft", "base": "CLIP", "donor": "NOBODY", "modules": []},
        },
        datasets=[],
        attacks=[
            {"kind": "pgd", "eps": 4},
            {"kind": "pgd", "eps": "1/0"},
        ],
        threats=[{"transfer": "GHOST"}, "grey-box"],
        sampels=3,
    )
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    text = str(caught.value)
    for expected in (
        str(path),
        "models.CLIP.weights: got 'clipp'",
        "models.X.kind: got 'nonsense'; allowed: 'nano', 'open_clip', 'hugging_face', 'lvlm', "
        "'lvlm-tiny', 'radapt', 'graft', 'python'",
        "models.R.cutof: unknown key",
        "models.R.cutoff: missing",
        "models.R.base: got 'NOWHERE'; declared models: CLIP, X, R, G",
        "models.G.donor: got 'NOBODY'; declared models: CLIP, X, R, G",
        "models.G.modules: is empty",
        "datasets: is empty",
        "attacks.0.eps.0: got 4;",
        "attacks.1.eps.0: got '1/0'; a radius in [0,1] pixels is needed, written like 4/255",
        "attacks: 'pgd' appears 2 times",
        "threats.0.transfer: got 'GHOST'",
        "threats.1: got 'grey-box'; allowed: white-box, {transfer: MODEL}, or {transfer: [MODEL",
        "sampels: unknown key",
    ):
        assert expected in text, f"{expected!r} is not in:\n{text}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"protocol": "made-up"}, "protocol: got 'made-up'; unknown preset; allowed: radapt-paper"),
        ({"protocol": {"preset": "radapt-paper", "pixels": {"size": 224, "fit": "zoom"}}}, "fit"),
        ({"protocol": {"preset": "radapt-paper", "templates": ["a photo"]}}, "placeholder {c}"),
        (
            {"protocol": {"preset": "radapt-paper", "native": ["cifar10", "cifar_10"]}},
            "protocol.native.1: got 'cifar_10'; datasets of the suite: cifar10",
        ),
        ({"seeds": []}, "seeds: is empty"),
        ({"seeds": [0, 1, 0]}, "seeds: got [0, 1, 0]; a seed appears twice"),
        ({"seeds": [0, "x"]}, "seeds.1: got 'x'"),
        ({"seeds": 3}, "seeds: got 3"),
        ({"threats": []}, "threats: is empty"),
        ({"attacks": []}, "attacks: is empty"),
        ({"threats": [{"transfer": None}]}, "threats.0: got {'transfer': None}; allowed:"),
        ({"datasets": [5]}, "datasets.0: got 5"),
        (
            {"datasets": [{"kind": "webdataset", "name": ["x"], "path": "p"}]},
            "datasets.0.name: got",
        ),
        ({"attacks": [{"kind": ["pgd"]}]}, "attacks.0"),
        ({"protocol": {"preset": ["x"]}}, "protocol: got"),
        (
            {"attacks": [{"kind": "pgd", "eps": ["4/255", "8/510"]}]},
            "attacks.0.eps: got ['4/255', '8/510']; the same radius appears twice",
        ),
        (
            {"models": {"CLIP": {"kind": "open_clip", "name": "ViT-B-32"}}},
            "models.CLIP: got {'kind': 'open_clip', 'name': 'ViT-B-32'}; `pretrained` is needed",
        ),
        ({"attacks": [{"kind": "pgd", "eps": []}]}, "attacks.0.eps: is empty"),
        (
            {"attacks": [{"kind": "torchattacks", "eps": 0.1, "args": {"steps": "many"}}]},
            "attacks.0.args: got {'steps': 'many'}; `steps` must be an integer of at least 1",
        ),
        ({"attacks": [{"kind": "pgd", "eps": "1e999"}]}, "attacks.0.eps.0: got '1e999'"),
        (
            {
                "models": {
                    "CLIP": {"kind": "nano", "weights": "clip"},
                    "R": {
                        "kind": "radapt",
                        "base": "CLIP",
                        "anchor": {},
                        "alpha": 1,
                        "cutoff": None,
                    },
                }
            },
            "models.R.anchor: got {}; exactly one of the keys `white` and `file` is needed",
        ),
        ({"samples": 0}, "samples: got 0"),
        ({"seed": 2**64}, "seed: got 18446744073709551616; allowed: a number of at most"),
        (
            {"seeds": [0, -(2**63) - 1]},
            "seeds.1: got -9223372036854775809; allowed: a number of at least",
        ),
        (
            {
                "models": {name: NANO for name in ("A", "B", "A + B")},
                "threats": [{"transfer": ["A", "B"]}],
            },
            "threats.0.transfer: got ['A', 'B'], which tables call 'A + B', the label of 'A + B'",
        ),
        (
            {
                "models": {name: NANO for name in ("A", "B + C", "A + B", "C")},
                "threats": [{"transfer": ["A", "B + C"]}, {"transfer": ["A + B", "C"]}],
            },
            "threats.1.transfer: got ['A + B', 'C'], which tables call 'A + B + C', the label of "
            "'A' and 'B + C' too",
        ),
        ({"suite": "../escape"}, "suite: got '../escape'"),
        ({"datasets": ["cifar10", "cifar10"]}, "datasets: 'cifar10' appears 2 times"),
        (
            {"attacks": [{"kind": "pgd", "name": "worst", "eps": 0.1}]},
            "attacks: got 'worst', which is reserved for tables; give it another `name`",
        ),
        ({"attacks": [{"kind": "pgd", "name": "clean", "eps": 0.1}]}, "attacks: got 'clean'"),
        (
            {"datasets": [{"kind": "webdataset", "name": "mean", "path": "p"}]},
            "datasets: got 'mean'",
        ),
        ({"models": {"a\x9bb": {"kind": "nano", "weights": "clip"}}}, "models.a\x9bb"),
        ({"datasets": ["imagenet"]}, "datasets.0: got 'imagenet'; allowed: embedded: cifar10, "),
    ],
)
def test_fault(suite_file: Callable[..., Path], changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(suite_file(**changes))
    assert expected in str(caught.value)


def test_a_preset_may_name_datasets_that_the_suite_lacks(suite_file: Callable[..., Path]) -> None:
    suite = load_suite(suite_file(protocol="fare-paper"))
    assert {"cifar100", "stl10"} < set(suite.protocol.native)
    assert [dataset.name for dataset in suite.datasets] == ["cifar10"]


def test_models_built_from_themselves(suite_file: Callable[..., Path]) -> None:
    ring = {"kind": "radapt", "alpha": 1.0, "cutoff": None}
    models = {
        "A": {**ring, "base": "B", "anchor": {"file": "x"}},
        "B": {**ring, "base": "A", "anchor": {"file": "x"}},
    }
    with pytest.raises(SuiteError, match=r"models\.A: the model is built from itself"):
        load_suite(suite_file(models=models, threats=["white-box"]))


def test_missing_threats_are_named(suite_file: Callable[..., Path]) -> None:
    text = suite_file().read_text().split("threats:")[0]
    path = suite_file()
    path.write_text(text)
    with pytest.raises(SuiteError, match="threats: missing"):
        load_suite(path)


def test_equal_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("suite: a\nmodels:\n  CLIP: {kind: nano}\n  CLIP: {kind: nano}\n")
    with pytest.raises(SuiteError, match="'CLIP' appears twice"):
        load_suite(path)


@pytest.mark.parametrize("text", ["- a list", "a: [", "\x00", "path: {{ root }}"])
def test_not_a_suite(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError, match=r"bad\.yaml"):
        load_suite(path)


def test_merge_keys_are_understood(suite_file: Callable[..., Path]) -> None:
    path = suite_file()
    merged = "  B: &b {kind: nano, weights: clip}\n  C: {<<: *b, weights: fare}\n"
    path.write_text(path.read_text().replace("models:\n", "models:\n" + merged))
    assert load_suite(path).models["C"].kind == "nano"


def test_missing_file() -> None:
    with pytest.raises(SuiteError, match="No such file"):
        load_suite("nowhere.yaml")


def test_eps_keeps_its_text(suite_file: Callable[..., Path]) -> None:
    suite = load_suite(suite_file())
    assert suite.attacks[0].eps == ("1/255", "2/255")
    assert suite.protocol.pixels == "native"
    assert suite.protocol.templates == ("a photo of a {c}",)
    assert SMALL["protocol"]["preset"] == "radapt-paper"
