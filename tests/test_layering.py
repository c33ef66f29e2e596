"""The house of `bench`: who may import whom, and what a room may hold; read from the sources."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the roof down: a room imports only rooms below it, and any of its own files.
ROOMS = (
    "commands",  # one module per command: parse, call, print
    "run",  # a suite from its file to its tables
    "site",  # all results on one site
    "share",  # results that travel
    "notebook",  # results as a DataFrame that shows itself
    "report",  # for readers
    "compare",  # results against results, and against published numbers
    "results",  # tables from stored cells
    "trust",  # when a robustness number must not be believed
    "evaluate",  # one cell: model, data and attack meet
    "tasks",  # what a number means
    "store",  # results and crafts on disk
    "plan",  # cells, identities, costs
    "attacks",  # the engine, its attacks, adapters
    "models",  # pixels in, logits or answers out
    "nano",  # the embedded world
    "data",  # images with labels, captions or questions
    "stats",  # intervals, paired tests, ranks
    "hub",  # files of the model and dataset hubs
    "suite",  # what a suite may say
    "catalogue",  # facts of public datasets and models
    "core",  # nouns and small tools
)

# library -> the only places that import it, beside what radapt needs of it
LIBRARIES = {
    "open_clip": ("bench.models", "bench.hub.open_clip_tags", "bench.nano", "radapt"),
    "transformers": (
        *("bench.models", "bench.hub.model_types", "bench.tasks.local_judge"),
        "radapt.remote_code",
    ),
    "huggingface_hub": ("bench.hub.files", "radapt.normalisations"),
    "radapt": ("bench", "radapt"),
    "scipy": (),  # only the tests need it
    "accelerate": ("bench.nano.recipe", "radapt.loop", "radapt.finetune", "radapt.cli.finetune"),
    "ray": ("bench.run.executors",),
    "pyautoattack": ("bench.attacks.pyautoattack_adapter",),
    "torchattacks": ("bench.attacks.torchattacks_adapter",),
    "rich": ("bench.run.console", "bench.commands"),
    "urllib3": ("bench.tasks.judge_connection",),
    "jinja2": ("bench.report.export",),
    "matplotlib": ("bench.report.figures", "radapt.figures"),
    "pyarrow": ("bench.data.arrow_tables", "bench.nano.recipe"),
    "trackio": ("bench.run.trackers.trackio_tracker",),
    "wandb": ("bench.run.trackers.wandb_tracker",),
}

LINES = 300  # of a file at most
FILES = 25  # of a room at most, its packages' `__init__` left out
WITHOUT_TORCH = (
    "commands",
    "run",
    "site",
    "share",
    "compare",
    "results",
    "store",
    "plan",
    "suite",
    "core",
)
BRING_TORCH = (  # the few modules of those rooms that need it, imported where they are used
    "bench.core.devices",
    "bench.core.torchvision_shim",
    "bench.run.executors.inline_executor",
    "bench.run.executors.ray_worker",
)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def modules() -> dict[str, Path]:
    return {name_of(path): path for path in ROOT.glob("bench/**/*.py")}


def imported_by(name: str, path: Path, everywhere: bool = True) -> Iterator[str]:
    """Yield what a file imports, absolute or relative, in functions and for typing alone too.

    `from bench import x` yields `bench.x` where that is a module. A literal name that is given to
    `import_module` counts.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in modules() else base
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            yield from (a.value for a in node.args if isinstance(a, ast.Constant))


@cache
def edges() -> dict[str, frozenset[str]]:
    """Every file of bench with the files of bench that it imports."""
    known = modules()
    found = {}
    for name, path in known.items():
        own = (target for target in imported_by(name, path) if within(target, "bench"))
        found[name] = frozenset(t if t in known else t.rpartition(".")[0] for t in own) - {name}
    return found


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_the_root_holds_rooms_and_the_door() -> None:
    assert {p.name for p in ROOT.glob("bench/*") if p.is_file()} == {"__init__.py", "py.typed"}
    rooms = {p.name for p in ROOT.glob("bench/*") if p.is_dir() and p.name != "__pycache__"}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    allowed = set(ROOMS[ROOMS.index(room) :])
    for name, targets in edges().items():
        if name != "bench" and room_of(name) == room:
            for target in targets:
                assert target != "bench", f"{name} imports the public door"
                assert room_of(target) in allowed, f"{name} imports {target}, a room above it"


def test_every_form_of_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "bench" / "core"
    package.mkdir(parents=True)
    (package / "probe.py").write_text(
        "from bench.evaluate import cell\nfrom . import errors\nfrom ..run import scheduler\n"
        "def f():\n    import bench.plan.cells\n    import importlib\n"
        "    importlib.import_module('bench.report.export')\n"
    )
    found = set(imported_by("bench.core.probe", package / "probe.py"))
    assert found >= {
        *("bench.evaluate.cell", "bench.core.errors", "bench.run.scheduler"),
        *("bench.plan.cells", "bench.report.export"),
    }


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = edges()
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_rooms_and_files_stay_small() -> None:
    files = [
        name for name in modules() if name.count(".") > 1 or modules()[name].stem != "__init__"
    ]
    plain = [name for name in files if modules()[name].stem != "__init__" and name != "bench"]
    for room, count in Counter(map(room_of, plain)).items():
        assert count <= FILES, f"bench/{room} has {count} files"
    for name, path in modules().items():
        assert len(path.read_text("utf-8").splitlines()) <= LINES, f"{name} is too long"


def test_a_file_name_stands_for_one_thing() -> None:
    stems = Counter(p.stem for p in modules().values() if not p.stem.startswith("__"))
    assert not [stem for stem, count in stems.items() if count > 1]


def test_libraries_are_imported_in_their_places_alone() -> None:
    sources = {**modules(), **{name_of(p): p for p in ROOT.glob("radapt/**/*.py")}}
    for name, path in sources.items():
        for target in imported_by(name, path):
            for library, places in LIBRARIES.items():
                if within(target, library):
                    assert any(within(name, place) for place in places), f"{name} imports {library}"


def test_radapt_imports_nothing_of_bench() -> None:
    for path in ROOT.glob("radapt/**/*.py"):
        assert not [t for t in imported_by(name_of(path), path) if within(t, "bench")], path


def test_images_are_opened_in_one_place() -> None:
    for path in (*ROOT.glob("bench/**/*.py"), *ROOT.glob("radapt/**/*.py")):
        opens = re.search(r"\bImage\.open\(|\bfrom PIL\.Image import\b", path.read_text("utf-8"))
        assert bool(opens) == (name_of(path) == "radapt.pictures"), path


def test_planning_and_reporting_start_without_torch() -> None:
    names = [
        name
        for name, path in modules().items()
        if name != "bench"
        and room_of(name) in WITHOUT_TORCH
        and name not in BRING_TORCH
        and path.stem != "__main__"
    ]
    code = (
        f"import importlib, sys, run_bench\nfor name in {names!r}: importlib.import_module(name)\n"
        "assert not {'torch', 'ray'} & set(sys.modules), 'torch or ray was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
