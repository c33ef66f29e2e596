"""Starts processes by a fork of a server that has imported the libraries already.

The imports take longer than most commands. Each process has its own arguments, environment and
output, like a process that a shell starts.
"""

import gc
import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from types import ModuleType
from unittest.mock import patch

import torch

import bench.commands.main
import bench.evaluate.cell
import bench.nano.nano_clip
import bench.report.export.write_all
import bench.run.console.board
import bench.run.split_jobs
import bench.run.suite_run  # noqa: F401

ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.forked"])
# kept alive: a module that is collected would deregister its operators from torch
_kept: list[ModuleType] = []


def process(target: object, *arguments: object) -> multiprocessing.process.BaseProcess:
    """Return a process, not yet started, that calls a function of a module."""
    with patch.dict(os.environ, _ENVIRONMENT, clear=True):  # without what a test has set
        forkserver.ensure_running()
    return _CONTEXT.Process(target=target, args=arguments)  # type: ignore[arg-type]


def call_script(
    script: Path, arguments: Sequence[object], cwd: Path, environment: Mapping[str, str]
) -> CompletedProcess[str]:
    """Run a script as `python script arguments` does; packages beside it are its own.

    The seed of hashes is the same in all these processes.
    """
    with TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("out", "err")]
        command = [str(script), *map(str, arguments)]
        child = process(_script, command, str(cwd), dict(environment), *map(str, streams))
        child.start()
        child.join()
        code = child.exitcode
        child.close()
        assert code is not None
        return CompletedProcess(command, code, *(path.read_text("utf-8") for path in streams))


def send_output(*paths: str) -> None:
    """Append what this process prints, and then its errors, to files."""
    for number, path in zip((1, 2), paths, strict=True):
        with open(path, "a") as file:
            os.dup2(file.fileno(), number)


def _script(command: list[str], cwd: str, environment: dict[str, str], *streams: str) -> None:
    send_output(*streams)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    gc.freeze()  # objects from before the fork are no garbage
    root = Path(command[0]).parent
    if root != ROOT:
        for name in [n for n in sys.modules if n.partition(".")[0] in ("bench", "radapt")]:
            _kept.append(sys.modules.pop(name))
    sys.path[:] = [str(root), *(place for place in sys.path if Path(place) != ROOT)]
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
