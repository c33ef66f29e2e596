"""The program as pip installs it: called by name, from any folder, with suites by name."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

import run_bench
from bench.commands import machine
from bench.commands.torch_builds import cuda_libraries, mismatch
from bench.compare.published import given, read_published
from bench.core.errors import UserError
from bench.core.shipped_files import named_suite, shipped_suites
from bench.plan.missing_files import find_faults
from bench.suite.load import load_suite
from radapt.cli.main import main as radapt_main
from radapt.optional_packages import install_advice
from tests.support.wheel import ROOT, build_wheel

TINY = {
    "suite": "tiny",
    "protocol": {"preset": "radapt-paper", "pixels": "native"},
    "samples": 2,
    "models": {
        "CLIP": {"kind": "nano", "weights": "clip"},
        "Plus": {
            "kind": "radapt", "base": "CLIP", "alpha": 0.8, "cutoff": 40,
            "anchor": {"file": "bench/nano/weights/plus.safetensors"},
        },
    },
    "datasets": ["digits"],
}  # fmt: skip
OPTIONAL = ("accelerate", "matplotlib", "pyarrow", "ray", "scipy", "sklearn", "transformers")
DEFAULT = {
    *("torch", "torchvision", "open_clip_torch", "huggingface_hub", "pyautoattack", "pandas"),
    *("pyyaml", "pydantic", "numpy", "pillow", "safetensors", "filelock", "jinja2", "rich"),
    "urllib3",
}


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working folder."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "empty"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the unpacked wheel, as pip leaves it beside the other packages."""
    folder = tmp_path_factory.mktemp("wheel")
    with ZipFile(build_wheel(folder / "build")) as wheel:
        wheel.extractall(folder / "packages")
    return folder / "packages"


def test_the_wheel_holds_what_the_checkout_holds(installed: Path) -> None:
    places = ("bench", "radapt", "suites", "results/published")
    files = (file.relative_to(ROOT) for place in places for file in (ROOT / place).rglob("*"))
    here = {file for file in files if (ROOT / file).is_file() and file.suffix != ".pyc"}
    inside = {
        file if file.parts[0] in ("bench", "radapt") else Path("bench", "shipped", file)
        for file in here
    }
    packed = {file.relative_to(installed) for file in installed.rglob("*") if file.is_file()}
    assert {file for file in packed if ".dist-info" not in file.parts[0]} == inside
    assert len(inside) > 500


def test_the_default_installation_is_small_and_extras_have_names(installed: Path) -> None:
    (about,) = installed.glob("*.dist-info")
    required = PathDistribution(about).requires or []
    default = {re.split(r"[>=<]", each)[0] for each in required if "extra ==" not in each}
    assert default == DEFAULT
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = (
        *("transformers", "ray", "pyarrow", "matplotlib", "torchattacks", "accelerate"),
        *("trackio", "wandb", "tensorboard"),
    )
    for package in packages:
        (extra,) = re.findall(r"radapt-bench\[(\w+)\]", install_advice(package))
        needed = [re.split(r"[>=<]", each)[0] for each in project["optional-dependencies"][extra]]
        assert package in needed or f"--no-deps {package}" in install_advice(package)


def test_radapt_asks_for_an_extra_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert radapt_main(["finetune", "fare4", "--model", "m", "--data", "d", "--out", "o"]) == 2
    assert "run `pip install 'radapt-bench[train]'`" in capsys.readouterr().err


def test_a_release_has_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    (newest, *_) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == version


def test_it_runs_by_name_from_an_empty_folder(installed: Path, empty: Path) -> None:
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    code = (
        "import sys; from importlib.metadata import entry_points; import bench\n"
        f"sys.modules.update(dict.fromkeys({OPTIONAL}))  # none can be imported\n"
        "assert bench.__file__.startswith(sys.argv[1]), bench.__file__\n"
        "command, library = (entry_points(group='console_scripts', name=name)[name].load()\n"
        "                    for name in ('radapt-bench', 'radapt'))\n"
        "from bench.commands.main import main\n"
        "assert main(['init', 'quickstart']) == 0\n"
        "sys.argv = ['radapt-bench', 'run', 'tiny', '--device', 'cpu', '--no-check']\n"
        "command()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(installed)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "suite: tiny.yaml of the working folder" in done.stderr
    assert "call `radapt-bench quickstart.yaml`" in done.stdout
    assert "2 cells, 2 computed now, 0 failed" in done.stdout
    assert (empty / "results" / "tiny" / "leaderboard.html").is_file()
    suites = (empty / "quickstart.yaml", ROOT / "suites" / "quickstart.yaml")
    assert suites[0].read_bytes() == suites[1].read_bytes()


def test_a_file_of_the_working_folder_comes_before_a_shipped_suite(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = named_suite("fare")
    assert shipped.path == ROOT / "suites" / "fare.yaml"
    assert run_bench.main(["init", "fare"]) == 0
    assert run_bench.main(["init", "fare"]) == 2
    assert "fare.yaml: is there already" in capsys.readouterr().err
    own = named_suite("fare")
    assert own.path == Path("fare.yaml")
    assert own.remark.endswith("not the shipped suite of this name")
    (empty / "quickstart").mkdir()  # a folder is no suite
    assert named_suite("quickstart").path.parent == ROOT / "suites"
    assert named_suite("./fare.yaml").remark == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "zero-shot"], "did you mean 'zero_shot'?"),
        (["quikstart"], "did you mean 'quickstart'?"),
        (["run", "suites/fare.yaml"], "no such file; the shipped suite has the name `fare`"),
        (["init", "tabel3"], "did you mean 'table3'?"),
    ],
)
@pytest.mark.usefixtures("empty")
def test_a_wrong_name_gets_the_nearest(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bench.main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("empty")
def test_a_suite_alone_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    for name in shipped_suites():
        with pytest.raises(SystemExit):
            run_bench.main([name, "--no-such-option"])
        assert "unrecognized arguments: --no-such-option" in capsys.readouterr().err


@pytest.mark.usefixtures("empty")
def test_what_shipped_suites_name_is_found_from_everywhere() -> None:
    assert find_faults(load_suite("quickstart"), torch=False) == []
    tables = [suite.against for suite in map(load_suite, shipped_suites()) if suite.against]
    assert len(tables) >= 7
    assert all(read_published(table) for table in tables)
    assert read_published(given("fare")) == read_published(given("results/published/fare.csv"))
    with pytest.raises(UserError, match=r"did you mean 'tecoa'\?"):
        read_published(given("tecao"))


@pytest.mark.parametrize(
    ("torch", "torchvision", "wrong"),
    [("2.13.0+cpu", "0.28.0+cu130", True), ("2.13.0+cu130", "0.28.0+cu130", False),
     ("2.13.0", "0.28.0", False)],
)  # fmt: skip
def test_the_doctor_sees_a_torchvision_of_another_torch(
    torch: str, torchvision: str, wrong: bool, tmp_path: Path
) -> None:
    assert mismatch([str(tmp_path)]) is None
    for name, version in (("torch", torch), ("torchvision", torchvision)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "version.py").write_text(f"__version__ = '{version}'\n")
    assert mismatch([str(tmp_path)]) == ((torch, torchvision) if wrong else None)


def test_the_doctor_names_needless_libraries_of_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Distribution] = []
    for name, size in (("nvidia-cublas", 3_000_000_000), ("numpy", 5)):
        about = tmp_path / f"{name}-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (about / "RECORD").write_text(f"{name}/library.so,sha256=x,{size}\n")
        found.append(PathDistribution(about))
    assert cuda_libraries(found) == (1, 3_000_000_000)
    monkeypatch.setattr(machine, "cuda_libraries", lambda: cuda_libraries(found))

    def told(drivers: tuple[str, ...]) -> list[Any]:
        monkeypatch.setattr(machine, "_DRIVERS", drivers)
        return [each for each in machine.examine(None, tmp_path) if "CUDA's" in each.what]

    assert told((str(tmp_path),)) == []
    (finding,) = told(())
    assert "1 package, 3.0 GB" in finding.what
    assert "--index-url https://download.pytorch.org/whl/cpu" in finding.advice
