"""The Ray executor: one worker process per share of an accelerator, on one or many nodes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.run.executors.gpu_shares import GpuShares, rounded
from bench.run.executors.interface import Opened, Outcome
from bench.run.executors.ray_cluster import import_ray, join, shorten
from bench.run.executors.ray_worker import Make, Setup, Worker, evaluator, log_name
from bench.run.jobs import Job

_DEAD = (
    "--executor ray: all nodes of the cluster have died; finished cells are stored, run the suite "
    "again"
)


@dataclass
class _Open:
    """An open worker.

    Attributes:
        actor: Ray's handle of the worker.
        index: Index of its accelerator or processor in `GpuShares`.
        share: Fraction of the accelerator, in (0,1].
        host: Name of its node; empty until the worker is ready.
        job: The current job; None while idle.
    """

    actor: Any
    index: int
    share: float
    host: str = ""
    job: Job | None = None


class Ray:
    """Runs jobs in Ray actors. Unlike Ray tasks, actors keep models loaded between jobs.

    Attributes:
        slots: Number of accelerators of the cluster, or of processors if it has no accelerators;
            at most `workers`.
        shares: Whether the cluster has accelerators, which several workers may share.
    """

    def __init__(
        self,
        setup: Setup,
        logs: Path,
        address: str | None = None,
        workers: int | None = None,
        make: Make = evaluator,
    ) -> None:
        """Join a cluster, or start a local cluster.

        If this process has already joined a cluster, that cluster is used and not shut down.

        Args:
            setup: The data that workers need.
            logs: Absolute path of the run's folder, with one log per worker.
            address: Address of a cluster, `HOST:PORT`, or `auto` for the cluster of this node.
                None starts a local cluster.
            workers: Maximum number of slots; None for all.
            make: Makes the function that runs jobs; called in the worker's process.

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
        self._gpus = GpuShares(places)
        self._class = self._ray.remote(Worker)
        self._setup = self._ray.put(setup)  # sent once for all workers
        self._logs, self._make = logs, make
        self._made = 0
        self._open: dict[str, _Open] = {}
        self._refs: dict[Any, tuple[str, bool]] = {}  # pending call: its slot, whether it is a job
        self._reports: list[Opened | Outcome] = []

    def open(self, gpus: float) -> str | None:
        """Start a worker with a share of an accelerator; return its slot, or None if none fits.

        Without accelerators the worker takes one processor. Returns before the worker is ready.

        Raises:
            UserError: No node of the cluster is alive, or the cluster does not answer.
        """
        share = rounded(gpus) if self.shares else 1.0
        if self._gpus.find(share) is None:
            return None
        self._gpus.close(self._alive())
        if self._gpus.closed:
            raise UserError(_DEAD)
        if (index := self._gpus.find(share)) is None:
            return None
        name = str(self._made)
        self._made += 1
        pinned = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self._gpus.node(index), soft=False
        )
        takes = {"num_gpus": share, "num_cpus": 0} if self.shares else {"num_cpus": 1}
        actor = self._class.options(max_restarts=0, scheduling_strategy=pinned, **takes).remote(
            self._setup, name, share, self._gpus.beside(index, share), self._logs, self._make
        )
        self._gpus.take(index, share)
        self._open[name] = _Open(actor, index, share)
        self._refs[actor.begin.remote()] = name, False
        return name

    def start(self, slot: str, job: Job) -> None:
        """Start a job on a worker."""
        worker = self._open[slot]
        worker.job = job
        self._refs[worker.actor.run.remote(job)] = slot, True

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        """Return new reports as soon as there are any, or after `seconds`.

        An interrupt (Ctrl-C) loses no report.

        Raises:
            UserError: A worker cannot continue for a reason that affects all workers, such as a
                full disk, or the cluster does not answer.
        """
        refs = list(self._refs)
        if not refs and not self._reports and seconds:
            time.sleep(seconds)
        if refs:
            with self._answering():
                self._ray.wait(refs, timeout=0 if self._reports else seconds)
                ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
            for ref in ready:
                self._take(ref)
        reports, self._reports = self._reports, []
        return reports

    def end(self, slot: str) -> None:
        """End a worker, idle or busy, without an outcome."""
        self._kill(slot)

    def close(self) -> None:
        """End all workers at once, and the cluster if this executor has started or joined it."""
        for slot in list(self._open):
            self._kill(slot)
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()

    def _take(self, ref: Any) -> None:
        """Add the report of a finished call, unless its worker is lost."""
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
            self._reports.append(Outcome(slot, worker.job, value))
            worker.job = None
        else:
            worker.host, where = value
            self._reports.append(Opened(slot, where))
        del self._refs[ref]  # last, so that an interrupt before it loses no report

    def _fail(self, ref: Any, error: Exception) -> None:
        """Raise an error that affects all workers; for any other error, report the worker lost."""
        slot, _ = self._refs[ref]
        worker = self._kill(slot)
        cause = getattr(error, "cause", None)  # the exception raised inside the worker
        if isinstance(cause, UserError):
            raise cause
        host = f" on {worker.host}" if worker.host else ""
        reason = f"died: {_reason_of_death(error)}"
        if cause is not None:
            reason = f"failed: {type(cause).__name__}: {cause}"
        lost = f"worker {slot}{host} {reason}; see {log_name(slot)}"
        self._reports.append(Outcome(slot, worker.job, None, lost))
        self._drop_dead_nodes()

    def _drop_dead_nodes(self) -> None:
        """Report workers on dead nodes as lost, before they are given another job."""
        alive = self._alive()
        for slot, worker in list(self._open.items()):
            if self._gpus.node(worker.index) not in alive:
                self._kill(slot)
                reason = f"worker {slot} died with its node; see {log_name(slot)}"
                self._reports.append(Outcome(slot, worker.job, None, reason))

    def _alive(self) -> set[str]:
        """Return the ids of the nodes that are alive.

        Raises:
            UserError: There are none, or the cluster does not answer. If the node of this process
                is dead, Ray aborts this process within seconds, so the message must come first.
        """
        with self._answering():
            found = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if not found:
            self._let_go()
            raise UserError(_DEAD)
        return found

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn errors of the block, which asks the cluster something, into a UserError."""
        try:
            yield
        except Exception as error:  # Ray raises many types if its own processes die
            self._let_go()
            why = shorten(f"{type(error).__name__}: {error}")
            raise UserError(
                f"--executor ray: the cluster does not answer ({why}); finished cells are stored, "
                "run the suite again"
            ) from error

    def _let_go(self) -> None:
        """Ask a dead cluster nothing more: Ray would end this process before its last message."""
        self._open.clear()
        self._refs.clear()
        self._ours = False

    def _kill(self, slot: str) -> _Open:
        """Kill a worker and release its share."""
        worker = self._open.pop(slot)
        self._refs = {ref: call for ref, call in self._refs.items() if call[0] != slot}
        self._gpus.take(worker.index, -worker.share)
        self._ray.kill(worker.actor, no_restart=True)
        return worker


def _count(node: dict[str, Any], unit: str) -> int:
    return int(node["Resources"].get(unit, 0))


def _reason_of_death(error: Exception) -> str:
    """Return the main part of Ray's message on a dead actor."""
    text = str(error).strip()
    if "creation task" in text:  # a traceback follows
        return text.splitlines()[-1]
    words = " ".join(text.split())
    words = words.partition("The actor is dead because ")[2] or words
    return shorten(words.partition(" Some common causes")[0])
