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
        *("bench.models", "bench.hub.weights", "bench.nano"),
        *("radapt.clip", "radapt.from_open_clip"),
    ),
    "transformers": (
        *("bench.models", "bench.tasks.local_judge", "bench.models.transformers_loading"),
        "radapt.remote_code",
    ),
    "huggingface_hub": ("bench.hub.files",),
    "radapt": (
        *(
            "bench.models",
            "bench.nano",
            "bench.core.torchvision_shim",
            "bench.report.figures",
            "radapt",
        ),
        "bench.models.transformers_loading",
        *("bench.data.decode", "bench.core.terminal"),
    ),
    "accelerate": ("radapt.loop", "radapt.finetune", "radapt.cli.finetune", "bench.nano.recipe"),
    "ray": ("bench.run.executors",),
    "pyautoattack": ("bench.attacks.pyautoattack_adapter",),
    "torchattacks": ("bench.attacks.torchattacks_adapter",),
    "rich": ("bench.run.console",),
    "jinja2": ("bench.report.export",),
    "matplotlib": ("radapt.figures", "bench.report.figures"),
    "bench.report.figures": ("bench.report.export",),
    "bench.evaluate.cell": ("bench.run.executors.ray_worker",),
    "bench.report.image_viewer.render": ("run_bench",),
    "bench.run.executors": ("bench.run.suite_run",),
    "bench.models": ("bench.evaluate.model_cache",),
    "bench.attacks": (
        *("bench.evaluate.craft", "bench.evaluate.transferable", "bench.evaluate.white_box"),
        *(
            "bench.evaluate.score",
            "bench.attacks.stored_images",
            "bench.report.image_viewer.render",
        ),
        *("bench.trust", "bench.attacks"),
    ),
    "bench.report.export": (
        "run_bench",
        "bench.run.suite_run",
        "bench.run.console",
        "bench.report.figures",
    ),
    "bench.results.tables": (
        "bench.report.export",
        "bench.share.bundle",
        "bench.commands.status",
        "bench.results.manifest",
        "bench.compare.verdicts",
        "bench.compare.published_table",
        "bench.results.per_class",
        *("bench.compare.paired", "bench.compare.outcomes", "bench.compare.sources"),
        "bench.results.leaderboard",
        "bench",
    ),
    "bench.run.scheduler": ("bench.run.suite_run",),
    "bench.nano": ("bench.models", "bench.nano"),
    "bench.plan.cost": (
        "bench.plan.cost",
        "bench.plan.cost.estimate",
        "bench.plan.cost.operations",
        "bench.commands.plan",
    ),
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
        "import sys, bench, run_bench, bench.commands.plan, bench.commands.status, bench.report.export, bench.compare.published_table, "
        "bench.run.console, bench.run.suite_run, bench.plan.resolve, bench.commands.downloads, bench.commands.machine, bench.share.merging, "
        "bench.results.dataframes, bench.results.per_class, bench.compare.paired_table, bench.report.image_viewer.select, bench.report.export.images_page, "
        "bench.trust.stored_findings, bench.trust.findings_table, bench.plan.cost.lvlm_estimate, radapt.pictures, radapt.terminal; "
        "assert not {'torch', 'ray'} & set(sys.modules), 'torch or ray was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
