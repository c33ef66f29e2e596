"""Workers that stay for the next list of jobs."""

from bench.run.executors import KeptWorkers
from bench.run.executors.interface import Opened, Outcome
from bench.run.jobs import Job


class OneGpu:
    """An executor of one accelerator, whose workers report when the test says so."""

    slots = 1
    shares = True

    def __init__(self) -> None:
        self.free, self.made, self.ended = 1.0, 0, list[str]()
        self.reports: list[Opened | Outcome] = []
        self.taken: dict[str, float] = {}

    def open(self, gpus: float) -> str | None:
        if gpus > self.free:
            return None
        self.free -= gpus
        self.made += 1
        slot = str(self.made)
        self.taken[slot] = gpus
        return slot

    def start(self, slot: str, job: Job) -> None:
        raise AssertionError("no job is given")

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        reports, self.reports = self.reports, []
        return reports

    def end(self, slot: str) -> None:
        self.free += self.taken[slot]
        self.ended.append(slot)

    def close(self) -> None:
        self.ended.append("all")


def test_a_kept_worker_is_up_at_once_and_knows_its_place() -> None:
    inner = OneGpu()
    workers = KeptWorkers(inner)
    assert workers.open(0.5) == "1"
    inner.reports = [Opened("1", "node a")]
    assert workers.wait(None) == [Opened("1", "node a")]
    workers.keep()
    assert workers.open(0.5) == "1"
    assert workers.wait(None) == [Opened("1", "node a")]
    assert workers.open(0.5) == "2"  # the first is taken
    assert inner.made == 2


def test_a_kept_worker_makes_way_for_another_share() -> None:
    inner = OneGpu()
    workers = KeptWorkers(inner)
    workers.open(0.5)
    workers.open(0.5)
    workers.keep()
    assert workers.open(1.0) == "3"
    assert inner.ended == ["1", "2"]
    assert workers.open(0.5) is None


def test_reports_on_kept_workers_are_not_passed_on() -> None:
    inner = OneGpu()
    workers = KeptWorkers(inner)
    workers.open(0.5)
    workers.open(0.5)
    workers.keep()  # both are still starting
    inner.reports = [Opened("1", "node a"), Outcome("2", None, None, "lost")]
    assert workers.wait(None) == []
    assert workers.open(0.5) == "1"  # the second is gone
    assert workers.wait(None) == [Opened("1", "node a")]
