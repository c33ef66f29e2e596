"""Workers under Ray: one process per share of an accelerator, on one node or many."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.run.executors.gpu_shares import Room, rounded
from bench.run.executors.interface import Opened, Outcome
from bench.run.executors.ray_cluster import gist, import_ray, join
from bench.run.executors.ray_worker import Make, Setup, Worker, evaluator, log_name
from bench.run.jobs import Job


@dataclass
class _Open:
    """A worker as its executor knows it.

    Attributes:
        actor: Ray's handle.
        place: The accelerator, or processor, that it is on.
        share: What it has of that.
        host: The node's name, once it is up.
        job: What it does now.
    """

    actor: Any
    place: int
    share: float
    host: str = ""
    job: Job | None = None


class Ray:
    """Does jobs in actors, which keep warm what jobs share, as tasks would not.

    Attributes:
        slots: Accelerators of the cluster, or its processors where there are none; at most as
            many as were asked for.
        shares: Whether there are accelerators, which several workers may share.
    """

    def __init__(
        self,
        setup: Setup,
        logs: Path,
        address: str | None = None,
        workers: int | None = None,
        make: Make = evaluator,
    ) -> None:
        """Join a cluster, or start one of this machine's own.

        A cluster that this process has joined already is used, and left as it is in the end.

        Args:
            setup: What workers need.
            logs: Folder of the run, absolute: one log per worker.
            address: Of a cluster, `HOST:PORT`, or `auto` for the one that this node is of.
            workers: Most slots; as many as there are where None.
            make: Makes what does jobs, in the worker's process.

        Raises:
            UserError: Ray is not installed, the folder cannot be made, or the cluster cannot be
                reached.
        """
        self._ray = import_ray()
        try:
            logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{logs}: cannot be made ({error.strerror})") from error
        self._ours = not self._ray.is_initialized()
        if self._ours:
            join(self._ray, address)
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        self.shares = any(_count(node, "GPU") for node in nodes)
        unit = "GPU" if self.shares else "CPU"
        places = [node["NodeID"] for node in nodes for _ in range(_count(node, unit))][:workers]
        self.slots = len(places)
        self._room = Room(places)
        self._class = self._ray.remote(Worker)
        self._setup = self._ray.put(setup)  # once, however many workers there will be
        self._logs, self._make = logs, make
        self._made = 0
        self._open: dict[str, _Open] = {}
        self._refs: dict[Any, tuple[str, bool]] = {}  # by answer: whose, and whether of a job
        self._news: list[Opened | Outcome] = []

    def open(self, gpus: float) -> str | None:
        """Begin a worker with a share of an accelerator; None where there is no room for it.

        Without accelerators it takes one processor. It does not wait until it is up.

        Raises:
            UserError: No node is left.
        """
        share = rounded(gpus) if self.shares else 1.0
        if self._room.find(share) is None:
            return None
        self._room.close({node["NodeID"] for node in self._ray.nodes() if node["Alive"]})
        if self._room.closed:
            raise UserError("--executor ray: no node of the cluster is left")
        if (place := self._room.find(share)) is None:
            return None
        name = str(self._made)
        self._made += 1
        pinned = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self._room.node(place), soft=False
        )
        takes = {"num_gpus": share, "num_cpus": 0} if self.shares else {"num_cpus": 1}
        actor = self._class.options(max_restarts=0, scheduling_strategy=pinned, **takes).remote(
            self._setup, name, share, self._logs, self._make
        )
        self._room.take(place, share)
        self._open[name] = _Open(actor, place, share)
        self._refs[actor.begin.remote()] = name, False
        return name

    def start(self, slot: str, job: Job) -> None:
        """Hand a job to a worker."""
        worker = self._open[slot]
        worker.job = job
        self._refs[worker.actor.run.remote(job)] = slot, True

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        """Return what has happened, as soon as something has or after so many seconds.

        It may be interrupted at any time, and nothing that has come is lost.

        Raises:
            UserError: A worker cannot do its work for a reason that all share: `DiskFull`.
        """
        refs = list(self._refs)
        if not refs and not self._news and seconds:
            time.sleep(seconds)
        if refs:
            self._ray.wait(refs, timeout=0 if self._news else seconds)
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
            for ref in ready:
                self._take(ref)
        news, self._news = self._news, []
        return news

    def end(self, slot: str) -> None:
        """End a worker, idle or not, without an outcome."""
        self._forget(slot)

    def close(self) -> None:
        """End all workers at once, and the cluster where it is this executor's own."""
        for slot in list(self._open):
            self._forget(slot)
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()

    def _take(self, ref: Any) -> None:
        """Note what has come, unless its worker was lost meanwhile."""
        if ref not in self._refs:
            return
        try:
            value = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._fail(ref, error)
            return
        slot, of_job = self._refs[ref]
        worker = self._open[slot]
        if of_job:
            assert worker.job is not None
            self._news.append(Outcome(slot, worker.job, value))
            worker.job = None
        else:
            worker.host, where = value
            self._news.append(Opened(slot, where))
        del self._refs[ref]  # after it is among the news, should this be interrupted

    def _fail(self, ref: Any, error: Exception) -> None:
        """Raise what concerns all workers, and give up the one that anything else befell."""
        slot, _ = self._refs[ref]
        worker = self._forget(slot)
        cause = getattr(error, "cause", None)  # of what was raised inside the worker
        if isinstance(cause, UserError):
            raise cause
        host = f" on {worker.host}" if worker.host else ""
        told = f"died: {_why(error)}"
        if cause is not None:
            told = f"failed: {type(cause).__name__}: {cause}"
        lost = f"worker {slot}{host} {told}; see {log_name(slot)}"
        self._news.append(Outcome(slot, worker.job, None, lost))
        self._bury()

    def _bury(self) -> None:
        """Give up what else was on nodes that are gone, before it is handed a job."""
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        for slot, worker in list(self._open.items()):
            if self._room.node(worker.place) not in alive:
                self._forget(slot)
                told = f"worker {slot} died with its node; see {log_name(slot)}"
                self._news.append(Outcome(slot, worker.job, None, told))

    def _forget(self, slot: str) -> _Open:
        """Kill a worker and give its share back."""
        worker = self._open.pop(slot)
        self._refs = {ref: whose for ref, whose in self._refs.items() if whose[0] != slot}
        self._room.take(worker.place, -worker.share)
        self._ray.kill(worker.actor, no_restart=True)
        return worker


def _count(node: dict[str, Any], unit: str) -> int:
    return int(node["Resources"].get(unit, 0))


def _why(error: Exception) -> str:
    """Return the gist of Ray's words on a death."""
    text = str(error).strip()
    if "creation task" in text:  # a traceback follows
        return text.splitlines()[-1]
    words = " ".join(text.split())
    words = words.partition("The actor is dead because ")[2] or words
    return gist(words.partition(" Some common causes")[0])
