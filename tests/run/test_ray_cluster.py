"""What a Ray cluster has shares for, how one is joined, and one of the executor's own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import ray

from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.run.executors import Ray, Setup
from bench.run.executors.gpu_shares import GpuShares, rounded
from bench.run.executors.ray_cluster import join
from bench.suite.load import Suite


def test_room_is_on_one_accelerator() -> None:
    shares = GpuShares(["a", "a", "b"])
    assert [shares.beside(place, rounded(1 / 3)) for place in range(3)] == [6, 6, 3]
    assert [shares.beside(place, 1.0) for place in range(3)] == [2, 2, 1]
    for place in range(3):
        assert shares.find(2 / 3) == place
        shares.take(place, rounded(2 / 3))
    assert shares.find(rounded(2 / 3)) is None
    assert shares.find(rounded(1 / 3)) == 0
    shares.take(1, -rounded(2 / 3))
    assert shares.find(1.0) == 1
    assert shares.find(rounded(1 / 3)) == 0  # the tightest
    shares.close({"b"})
    assert shares.find(rounded(1 / 3)) == 2
    assert not shares.closed
    shares.close(set())
    assert shares.closed


def test_what_is_wrong_with_the_call_is_said(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(small, Lock(), {}, tmp_path, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ray, "is_initialized", lambda: False)
        with pytest.raises(UserError, match=r"^--address: got '127.0.0.1:1', where nothing"):
            Ray(setup, tmp_path, "127.0.0.1:1")
        with pytest.raises(UserError, match=r"^--address: got 'here'.*allowed: HOST:PORT"):
            Ray(setup, tmp_path, "here")
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match=r"/file/logs: cannot be made \(Not a directory\)$"):
            Ray(setup, tmp_path / "file" / "logs")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'radapt-bench\[ray\]'"):
        Ray(setup, tmp_path)


def test_a_cluster_that_does_not_start_is_said() -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nadvice")

    fake = ModuleType("ray")
    fake.init = init  # type: ignore[attr-defined]
    said = "--executor: got 'ray'; Ray does not start: The current node timed out during startup."
    with pytest.raises(UserError, match=said):
        join(fake, None)


class DyingRay(ModuleType):
    """What the executor uses of Ray, on a cluster of one node whose processes die at a call."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.alive, self.answers, self.asked = True, True, list[str]()
        self.exceptions = SimpleNamespace(RayError=KeyError)
        strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda *_, **__: None)
        self.util = SimpleNamespace(scheduling_strategies=strategies)
        actor = SimpleNamespace(begin=SimpleNamespace(remote=lambda: "begin"))
        options = SimpleNamespace(remote=lambda *_: actor)
        self.remote = lambda _: SimpleNamespace(options=lambda **_: options)
        self.put = lambda value: value

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: object) -> None:
        pass

    def nodes(self) -> list[dict[str, object]]:
        return [{"NodeID": "n", "Alive": self.alive, "Resources": {"CPU": 1}}]

    def wait(self, refs: list[str], **_: object) -> tuple[list[str], list[str]]:
        if not self.answers:
            raise RuntimeError("the GCS is gone\nadvice")
        return refs, []

    def get(self, ref: str) -> object:
        raise KeyError("owner died")

    def kill(self, *_: object, **__: object) -> None:
        self.asked.append("kill")

    def shutdown(self) -> None:
        self.asked.append("shutdown")


@pytest.mark.parametrize("death", ["of the node", "of the agent"])
def test_a_cluster_that_dies_ends_the_run_with_a_sentence(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    """Ray ends a process that asks a dead cluster something, so nothing more is asked."""
    fake = DyingRay()
    monkeypatch.setattr("bench.run.executors.ray_executor.import_ray", lambda: fake)
    executor = Ray(Setup(small, Lock(), {}, tmp_path, tmp_path), tmp_path / "logs")
    assert executor.open(1.0) == "0"
    fake.alive, fake.answers = death != "of the node", death != "of the agent"
    message = {
        "of the node": "all nodes of the cluster have died; finished cells are stored",
        "of the agent": r"does not answer \(RuntimeError: the GCS is gone advice\); finished",
    }[death]
    with pytest.raises(UserError, match=message):
        executor.wait(None)
    fake.asked.clear()
    executor.wait(0.0)
    executor.close()
    assert fake.asked == []


def test_a_cluster_of_its_own(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    """Ctrl-C while it waits loses nothing, and neither it nor the end waits for a job."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ray_alone", str(suite_file()), str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=1200,
        start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "all is well"
