"""No code of a suite, a checkpoint, a hub's file or a dataset runs without `--trust`.

Code is planted in each place that could hold it (`tests.support.planted`), and every command is
run. None of it may run, nobody may be asked on the terminal, and each refusal is a sentence.
"""

import importlib.util
import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers.dynamic_module_utils as dynamic
import transformers.integrations.hub_kernels as kernels
from pydantic import TypeAdapter

import run_bench
from bench.core.errors import CellError
from bench.core.module_files import module_file
from bench.models import ClipModel, build_model
from bench.models.language import LanguageModel
from bench.suite.specs import ModelSpec, TransformersJudge
from bench.tasks.local_judge import LocalModel
from radapt.cli.main import main as radapt
from radapt.remote_code import RemoteCodeError, no_remote_code
from tests.conftest import SMALL
from tests.support.every_command import call, cell_of, commands, failures, write_suite
from tests.support.hub_cache import folder_files, offline, put
from tests.support.planted import (
    CLIPS,
    JUDGES,
    SPEAKERS,
    Planter,
    config,
    edit,
    plant_data,
    tokenizer,
    trusted_tokenizer,
    weights,
    write_whole,
)
from tests.tasks.test_judges import DIGITS

CPU = torch.device("cpu")
OWN = """\
from bench.models import build_model
from bench.suite.specs import NanoModel
def build(device): return build_model(NanoModel(kind="nano", weights="clip"), device, None)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked on the terminal; whoever sits there agrees to everything."""
    questions: list[str] = []

    def agree(question: str = "") -> str:
        questions.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", agree)
    return questions


@pytest.fixture
def planter(
    tmp_path: Path, whole: dict[str, Path], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Planter]:
    """What plants code; at the end nothing of it has run and nothing was asked."""
    offline(monkeypatch, tmp_path / "hub")
    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    found = Planter(tmp_path, whole)
    yield found
    assert found.ran == []
    assert asked == []


def build(entry: dict[str, Any]) -> ClipModel | LanguageModel:
    def refer(name: str) -> Any:
        return build({"kind": "nano", "weights": "clip"})

    spec: ModelSpec = TypeAdapter(ModelSpec).validate_python(entry)
    model = build_model(spec, CPU, refer)
    assert isinstance(model, ClipModel | LanguageModel)
    return model


@pytest.mark.parametrize("place", [*CLIPS, *SPEAKERS])
def test_a_checkpoint_with_code_is_refused_in_a_sentence(planter: Planter, place: str) -> None:
    make, said = {**CLIPS, **SPEAKERS}[place]
    entry = make(planter, place)
    if said:
        with pytest.raises(CellError, match=said):
            build(entry)
        return
    model = build(entry)  # without the code, which it does not need
    if isinstance(model, LanguageModel):
        model.answer(torch.rand(1, 3, 32, 32), ["is it?"], tokens=1)


@pytest.mark.parametrize("place", JUDGES)
def test_a_judge_with_code_is_refused_in_a_sentence(planter: Planter, place: str) -> None:
    make, said = JUDGES[place]
    spec = TransformersJudge(kind="transformers", name=str(make(planter, place)))
    judge = LocalModel(spec, CPU, lambda: None)
    with pytest.raises(CellError, match=said):
        list(judge(["is it?"]))


def test_no_command_runs_code_of_a_checkpoint(
    planter: Planter, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = {"kind": "nano", "weights": "clip"}
    models = {place: make(planter, place) for place, (make, _) in CLIPS.items()}
    suite = write_suite(planter.root, suite="clips", models={"CLIP": clip, **models})
    for arguments in commands(planter.root, suite, "CLIP", "0"):
        call(arguments, capsys)
        assert planter.ran == [], arguments
    refused = {place for place, (_, said) in CLIPS.items() if said}
    assert set(failures(planter.root, "clips")) == refused


def test_no_command_runs_code_of_what_answers_and_judges(
    planter: Planter, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {place: make(planter, place) for place, (make, _) in SPEAKERS.items()}
    sound = {"kind": "lvlm", "name": str(planter.whole["lvlm"]), "precision": "fp32"}
    judge = {"kind": "transformers", "name": str(config(planter, "judge", "judge"))}
    suite = write_suite(
        planter.root,
        suite="speakers",
        protocol={"preset": "lvlm", "pixels": "native", "answer_tokens": 1, "judge": judge},
        models={"Sound": sound, **models},
        datasets=[{**DIGITS, "ask": "what"}],
        samples=1,
    )
    for arguments in commands(planter.root, suite, "Sound", "0"):
        call(arguments, capsys)
        assert planter.ran == [], arguments
    failed = failures(planter.root, "speakers")
    assert set(SPEAKERS) - set(failed) <= {
        place for place, (_, said) in SPEAKERS.items() if not said
    }
    assert "judge/config.json: auto_map: got" in failed["Sound"]


@pytest.fixture
def own(planter: Planter, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Modules of a suite, whose code tells that it ran; return what makes them forgotten."""
    monkeypatch.syspath_prepend(planter.root)
    for path in ("alone.py", "packed/__init__.py", "outer/__init__.py", "outer/inner/__init__.py",
                 "outer/inner/deep.py", "wide/below/deep.py"):  # fmt: skip
        place = planter.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(planter.code(path.replace("/", "-")) + OWN)

    def forget() -> None:
        roots = ("alone", "packed", "outer", "wide")
        for name in [name for name in sys.modules if name.partition(".")[0] in roots]:
            del sys.modules[name]
        for path in planter.root.glob("ran-*"):
            path.unlink()

    return forget


TARGETS = ("alone", "packed", "outer.inner.deep", "wide.below.deep")


def test_no_command_imports_what_a_suite_names(
    planter: Planter, own: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    models = {name: {"kind": "python", "target": f"{name}:build"} for name in TARGETS}
    suite = write_suite(planter.root, suite="own", models=models)
    run, *others = commands(planter.root, suite, "alone", "0")
    assert "run with --trust" in call(run, capsys)
    for arguments in others:  # without results
        call(arguments, capsys)
        assert planter.ran == [], arguments
    call([*run, "--trust"], capsys)
    assert len(planter.ran) == 6  # all that is planted does run
    assert failures(planter.root, "own") == {}
    own()
    cell = cell_of(planter.root, "own", "outer.inner.deep")
    for arguments in commands(planter.root, suite, "alone", cell):  # with results
        call(arguments, capsys)
        assert planter.ran == [], arguments


def test_a_module_is_found_where_it_is_imported_from(
    planter: Planter, own: Callable[[], None]
) -> None:
    for name in (*TARGETS, "outer", "outer.inner"):
        file = module_file(name)
        assert planter.ran == []
        found = importlib.util.find_spec(name)  # which imports the packages around it
        assert found is not None and file == Path(str(found.origin))
        own()
    for name in ("wide", "no_such", "alone.below", "outer.no_such.deep", "sys", "", ".", "outer."):
        assert module_file(name) is None
    root = Path(run_bench.__file__).parent
    assert module_file("bench.plan.resolve") == root / "bench" / "plan" / "resolve.py"


def test_no_code_of_datasets_and_bundles_runs(
    planter: Planter, dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    datasets = plant_data(planter, dataset)
    suite = write_suite(
        planter.root,
        suite="data",
        models={"CLIP": SMALL["models"]["CLIP"]},
        datasets=datasets,
    )
    for arguments in commands(planter.root, suite, "CLIP", "0"):
        call(arguments, capsys)
        assert planter.ran == [], arguments
    bundle = planter.root / "theirs.zip"
    shutil.copy(planter.root / "data.zip", bundle)
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("results.pkl", planter.pickled("member"))
    merged = ["merge", str(suite), "--results", str(planter.root / "results"), str(bundle)]
    assert "got the member 'results.pkl'" in call(merged, capsys)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (trusted_tokenizer, "tokenizer_kwargs.trust_remote_code: got True, allowed is false"),
        (lambda p, name: tokenizer(p, "open_clip", name), "Python code of a checkpoint is not run"),
        (lambda p, name: weights(p, "open_clip", name), "not loaded because it may run code"),
    ],
)
def test_radapt_runs_no_code_of_a_repository(
    planter: Planter,
    make: Callable[[Planter, str], Path],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = make(planter, "theirs")
    path = folder / "open_clip_config.json"
    known = json.loads(path.read_text())
    if "hf_tokenizer_name" in known["model_cfg"]["text_cfg"]:
        # of a repository, open_clip takes the tokenizer that the configuration names
        known["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = str(folder)
        edit(path, **known)
    put(planter.root / "hub", "owner/theirs", folder_files(folder))
    out = str(planter.root / "anchor.safetensors")
    assert (
        radapt(["anchor", "--model", "hf-hub:owner/theirs", "--device", "cpu", "--out", out]) == 2
    )
    assert said in capsys.readouterr().err


def test_radapt_runs_no_code_of_anchors_and_states(
    planter: Planter, capsys: pytest.CaptureFixture[str]
) -> None:
    start = planter.root / "start.safetensors"
    start.write_bytes(planter.pickled("start"))
    data = Path(run_bench.__file__).parent / "bench" / "nano" / "data" / "cifar10"
    given = ["--model", "python:bench.nano.nano_clip:load_pair:clip", "--data", str(data)]
    given += ["--split", "test", "--images", "2", "--batch", "2", "--device", "cpu"]
    out = str(planter.root / "new.safetensors")
    assert radapt(["fit", *given, "--start", str(start), "--out", out]) == 2
    assert "not an anchor" in capsys.readouterr().err


def test_what_asks_for_code_is_stopped_at_the_last_door(planter: Planter) -> None:
    """As where a caller has said yes: open_clip passes on what a configuration says."""
    from transformers import AutoTokenizer

    folder = tokenizer(planter, "judge", "said-yes")
    before = (dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE, kernels.get_kernel)
    with pytest.raises(RemoteCodeError, match="needs a class"), no_remote_code(folder):
        AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    named = pytest.raises(RemoteCodeError, match=r"tokenizer_config\.json: auto_map: got")
    with named, no_remote_code(folder):
        AutoTokenizer.from_pretrained(folder)  # which would ask on the terminal
    assert before == (dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE, kernels.get_kernel)


def test_no_kernel_of_the_hub_runs(planter: Planter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "is_kernels_available", lambda: True)
    monkeypatch.setattr(
        kernels, "get_kernel_hub", lambda *_, **__: exec(planter.code("kernel")), raising=False
    )
    folder = planter.copy("hugging_face", "kernel")
    edit(folder / "config.json", attn_implementation="kernels-community/planted")
    with pytest.raises(CellError, match="kernel of the hub"):
        build({"kind": "hugging_face", "name": str(folder)})
