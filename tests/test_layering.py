"""Who imports whom, read from the sources."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "run_bench.py", *ROOT.glob("bench/**/*.py"), *ROOT.glob("radapt/**/*.py")]

# package -> the only modules that may import it
ONLY = {
    "open_clip": (
        *("bench.models", "bench.weights", "bench.nano"),
        *("radapt.clip", "radapt.from_open_clip"),
    ),
    "transformers": (
        *("bench.models", "bench.tasks.local_judge", "bench.loading"),
        "radapt.remote_code",
    ),
    "huggingface_hub": ("bench.hub",),
    "radapt": (
        *("bench.models", "bench.nano", "bench.compat", "bench.figures", "radapt"),
        "bench.loading",
        *("bench.data.pictures", "bench.terminal"),
    ),
    "accelerate": ("radapt.loop", "radapt.finetune", "radapt.cli.finetune", "bench.nano.recipe"),
    "ray": ("bench.executors",),
    "pyautoattack": ("bench.attacks.official",),
    "torchattacks": ("bench.attacks.torch_attacks",),
    "rich": ("bench.console",),
    "jinja2": ("bench.export",),
    "matplotlib": ("radapt.figures", "bench.figures"),
    "bench.figures": ("bench.export",),
    "bench.evaluate": ("bench.executors.worker",),
    "bench.pictured": ("run_bench",),
    "bench.executors": ("bench.run",),
    "bench.models": ("bench.warm",),
    "bench.attacks": (
        *("bench.crafting", "bench.full", "bench.success"),
        *("bench.scoring", "bench.storage", "bench.pictured"),
        *("bench.trust", "bench.attacks"),
    ),
    "bench.export": ("run_bench", "bench.run", "bench.console", "bench.figures"),
    "bench.tables": (
        "bench.export",
        "bench.bundle",
        "bench.status",
        "bench.manifest",
        "bench.compare",
        "bench.check",
        "bench.breakdown",
        *("bench.comparison", "bench.outcomes", "bench.sides"),
        "bench.leaderboard",
        "bench",
    ),
    "bench.scheduler": ("bench.run",),
    "bench.nano": ("bench.models", "bench.nano"),
    "bench.lvlm": ("bench.lvlm", "bench.costs", "bench.work", "bench.summary"),
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path, top_level: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_only_the_named_modules_import_a_package() -> None:
    for path in SOURCES:
        importer = module_of(path)
        for imported in imports(path):
            for package, allowed in ONLY.items():
                if within(imported, package) and not within(importer, package):
                    assert any(
                        importer == room if room == "bench" else within(importer, room)
                        for room in allowed
                    ), f"{importer} imports {imported}; only {', '.join(allowed)} may"


def test_radapt_imports_nothing_of_bench() -> None:
    for path in ROOT.glob("radapt/**/*.py"):
        assert not [name for name in imports(path) if within(name, "bench")], path


def test_images_are_opened_in_one_place() -> None:
    for path in SOURCES:
        opens = re.search(r"\bImage\.open\(|\bfrom PIL\.Image import\b", path.read_text())
        assert bool(opens) == (module_of(path) == "radapt.pictures"), path


def test_planning_and_reporting_start_without_torch() -> None:
    code = (
        "import sys, bench, run_bench, bench.summary, bench.status, bench.export, bench.check, "
        "bench.console, bench.run, bench.lock, bench.fetch, bench.doctor, bench.merging, "
        "bench.views, bench.breakdown, bench.comparison_table, bench.picking, bench.export.images, "
        "bench.trust.kept, bench.trust.table, bench.lvlm.plan, radapt.pictures, radapt.terminal; "
        "assert not {'torch', 'ray'} & set(sys.modules), 'torch or ray was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
