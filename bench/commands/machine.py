"""Examines this machine for `doctor`: packages, hardware, disks, files and network."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from bench.commands.downloads import format_bytes
from bench.commands.torch_builds import cuda_libraries, index_of, mismatch
from bench.data.source_kinds import source_of
from bench.evaluate.memory_limit import memory_limit, physical_memory
from bench.hub.files import cache, unreachable
from bench.plan.judge_keys import judge_lines
from bench.plan.missing_files import (
    JUDGE,
    JUDGE_KEY,
    Fault,
    find_faults,
    libraries,
)
from bench.suite.load import Suite
from bench.suite.specs import OpenAIJudge, TransformersJudge
from radapt.optional_packages import install_advice

_OLDEST_PYTHON = (3, 11)
_PACKAGES = (
    *("torch", "torchvision", "open_clip_torch", "huggingface_hub", "pyautoattack"),
    *("pandas", "numpy", "pillow", "pydantic", "pyyaml", "safetensors", "jinja2", "rich"),
)
_RESULTS, _CACHE = "results", "the hub's cache"
_MOVES = {
    _RESULTS: "choose another folder with --results",
    _CACHE: "set HF_HOME to another folder",
}
# files of the drivers of CUDA, also on Jetson, of ROCm and of WSL; importing torch takes seconds
_DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg")
_NO_GPU = (
    "the embedded models run on a CPU; for real models install a GPU driver and a torch build for "
    "it"
)
_FOR_CPU = (
    "to save the space, make a new environment and install torch for CPUs before this project: "
    f"pip install torch torchvision {index_of('cpu')}"
)
_OTHER_TORCHVISION = (
    "this project repairs the import for itself; in your own code call "
    "`radapt.compat.ensure_torchvision()` before you import open_clip or transformers, or install "
    "the torchvision of your torch: pip install --force-reinstall --no-deps torchvision "
)
_SMALL_MEMORY = 8 * 10**9  # bytes; a ViT-L/14 in float32 with gradients needs about half
_SMALL_DISK = 5 * 10**9  # bytes; enough for the weights of a ViT-L/14 and a few datasets


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one examination.

    Attributes:
        level: `bad` prevents a run; `note` slows it down or affects only some suites.
        what: What was found.
        advice: What to do; empty if `level` is `ok`.
    """

    level: Literal["ok", "note", "bad"]
    what: str
    advice: str = ""


def examine(suite: Suite | None, results: Path) -> Iterator[Finding]:
    """Yield the findings about this machine, and about the files that a suite needs.

    Args:
        suite: The suite; None to examine only the machine.
        results: Folder of all results.
    """
    yield _python()
    yield from _packages(suite)
    yield from _torchvision()
    yield _accelerator()
    yield from _needless_libraries()
    yield _memory()
    yield from _disks(suite, results)
    yield _compiler()
    faults = [] if suite is None else find_faults(suite)
    if suite is not None:
        # `_packages` has said which packages are missing
        yield from _contents(suite, [fault for fault in faults if not fault.package])
    yield _network(needed=any(fault.download for fault in faults))


def _python() -> Finding:
    found = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info >= _OLDEST_PYTHON:
        return Finding("ok", found)
    advice = "install Python 3.11 or later, and create a new environment"
    return Finding("bad", found, advice)


def _packages(suite: Suite | None) -> Iterator[Finding]:
    found, absent = [], []
    for name in (*_PACKAGES, *(libraries(suite) if suite else ())):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    if found:
        yield Finding("ok", f"packages: {', '.join(found)}")
    for name in absent:
        yield Finding("bad", f"package {name} is missing", install_advice(name))


def _torchvision() -> Iterator[Finding]:
    if versions := mismatch():
        torch, torchvision = versions
        found = f"torchvision {torchvision} was not built for torch {torch}, so that importing"
        advice = _OTHER_TORCHVISION + index_of(torch.partition("+")[2])
        yield Finding("note", f"{found} torchvision, open_clip or transformers fails", advice)


def _needless_libraries() -> Iterator[Finding]:
    count, size = cuda_libraries()
    if count and _has_no_driver():
        packages = "1 package" if count == 1 else f"{count} packages"
        found = f"CUDA's libraries are installed: {packages}, {format_bytes(size)}"
        yield Finding("note", found, _FOR_CPU)


def _has_no_driver() -> bool:
    return sys.platform == "linux" and not any(map(os.path.exists, _DRIVERS))


def _accelerator() -> Finding:
    if _has_no_driver():
        return Finding("note", "GPU: this machine has no driver for one", _NO_GPU)
    if find_spec("torch") is None:
        return Finding("note", "GPU: unknown, since torch is missing", "install torch")
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda or torch.version.hip
        detail = f"built for {built}" if built else "built for CPUs only"
        return Finding(
            "note",
            f"GPU: torch {torch.__version__} ({detail}) finds none",
            _NO_GPU,
        )
    cards = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        cards.append(f"{name}, {format_bytes(free)} of {format_bytes(total)} free")
    return Finding("ok", f"GPU: {'; '.join(cards)}")


def _memory() -> Finding:
    if physical_memory() is None:
        return Finding("note", "memory: unknown on this system", "8 GB are enough for a ViT-L/14")
    total = memory_limit()
    found = f"memory: {format_bytes(total)}, {os.cpu_count()} processors"
    if total >= _SMALL_MEMORY:
        return Finding("ok", found)
    return Finding("note", found, "a ViT-L/14 needs 8 GB; the embedded models need 2 GB")


def _disks(suite: Suite | None, results: Path) -> Iterator[Finding]:
    places = {_RESULTS: results, _CACHE: cache()}
    for dataset in suite.datasets if suite else ():
        folder = source_of(dataset).download_folder
        if folder not in (None, cache()):
            places[f"datasets.{dataset.name}"] = folder
    for name, place in places.items():
        whole = place.absolute()
        folder = next(path for path in (whole, *whole.parents) if path.exists())
        free = shutil.disk_usage(folder).free
        found = f"disk of {name}: {format_bytes(free)} free at {place}"
        move = _MOVES.get(name, "name another folder in the suite")
        if not os.access(folder, os.W_OK):
            yield Finding("bad", f"{found}, but the folder is not writable", move)
        elif free < _SMALL_DISK:
            yield Finding("note", found, f"free some space, or {move}")
        else:
            yield Finding("ok", found)


def _compiler() -> Finding:
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if found:
        return Finding("ok", f"C compiler: {found}")
    return Finding("note", "C compiler: none", "torch.compile needs one, e.g. the package gcc")


def _contents(suite: Suite, faults: list[Fault]) -> Iterator[Finding]:
    """Yield what is here, then the faults; faults with the same advice follow each other."""
    faulty = {fault.key for fault in faults}
    datasets = (f"datasets.{dataset.name}" for dataset in suite.datasets)
    for key in (*datasets, *(f"models.{name}" for name in suite.models)):
        if key not in faulty:
            yield Finding("ok", f"{key}: here")
    yield from _judge(suite, faulty)
    for advice in dict.fromkeys(fault.advice for fault in faults):
        for fault in faults:
            if fault.advice == advice:
                yield Finding("bad", f"{fault.key}: {fault.reason}", advice)


def _judge(suite: Suite, faulty: set[str]) -> Iterator[Finding]:
    """Yield what is right about a judge: its address, its key, or its files."""
    judge = suite.protocol.judge
    if not suite.uses_judge:
        return
    if isinstance(judge, TransformersJudge) and JUDGE not in faulty:
        yield Finding("ok", f"{JUDGE}: here")
    if isinstance(judge, OpenAIJudge):
        for line in judge_lines(suite):
            yield Finding("ok", f"{JUDGE}: {line}")
        if judge.key and os.environ.get(judge.key):
            yield Finding("ok", f"{JUDGE_KEY}: {judge.key} is set")


def _network(*, needed: bool) -> Finding:
    reason = unreachable()
    if reason is None:
        return Finding("ok", "network: the hub is reachable")
    advice = "suites whose files are all here run with HF_HUB_OFFLINE=1"
    if needed:
        advice = (
            "run `fetch` on another machine and copy the cache, or set HTTPS_PROXY to a proxy or "
            "HF_ENDPOINT to a mirror"
        )
    return Finding("bad" if needed else "note", f"network: {reason}", advice)
