"""The scheduler with fake workers on a clock of their own: who does what, when, how often."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from bench.core.errors import DiskFull
from bench.core.resolved_names import DatasetLock, Lock
from bench.core.types import CellResult, unmeasured
from bench.plan.cells import Cell, expand
from bench.plan.identity import digest
from bench.run.eta import Eta
from bench.run.executors.interface import Opened, Outcome
from bench.run.jobs import Job, Retry
from bench.run.queue import Group, JobQueue, group_of
from bench.run.scheduler import run
from bench.run.split_jobs import jobs_of
from bench.run.watchers import Watcher
from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite
from tests.support.stored_cells import is_finished


def cell(name: str, model: str = "M", dataset: str = "d") -> Cell:
    return Cell(digest(name), "", model, dataset, None, "", None, 0)


def job(name: str, model: str = "M", dataset: str = "d", **changes: Any) -> Job:
    return Job(name, cell(name, model, dataset), **changes)


def ok(job: Job) -> CellResult:
    return CellResult(
        job.cell.id, "ok", np.ones(1, np.bool_), ("a",), np.zeros(1, np.float32), 0.0, 1, {}
    )


def timed(job: Job) -> CellResult:
    return replace(ok(job), seconds=job.work)


def failed(job: Job, *, again: bool) -> CellResult:
    return unmeasured(job.cell.id, "failed", "no room", 0.0, {}, again=again)


Happens = Callable[[Job, int], CellResult | str | None]  # a result, why lost, or None: it hangs


class Workers:
    """Fake workers: a job takes `work` seconds, or five times that where the group is new to one.

    Attributes:
        room: Accelerators that are there.
        spans: Per job done, its slot, key, begin and end.
        now: The clock.
    """

    shares = True

    def __init__(self, slots: int, happens: Happens = lambda job, count: ok(job)) -> None:
        self.slots = slots
        self.room = float(slots)
        self.happens = happens
        self.now = 0.0
        self.news: list[Opened | Outcome] = []
        self.shares: dict[str, float] = {}
        self.busy: dict[str, tuple[float, Job]] = {}
        self.spans: list[tuple[str, str, float, float]] = []
        self.tries: Counter[str] = Counter()
        self.names = 0

    def open(self, gpus: float) -> str | None:
        if self.room < gpus:
            return None
        self.room -= gpus
        name = str(self.names)
        self.names += 1
        self.shares[name] = gpus
        self.news.append(Opened(name, "here"))
        return name

    def start(self, slot: str, job: Job) -> None:
        assert slot not in self.busy
        assert self.shares[slot] == job.gpus
        self.tries[job.key] += 1
        self.busy[slot] = self.now + job.work, job
        self.spans.append((slot, job.key, self.now, self.now + job.work))

    def wait(self, seconds: float | None) -> list[Opened | Outcome]:
        if self.news:
            news, self.news = self.news, []
            return news
        ends = [(end, slot) for slot, (end, job) in self.busy.items() if self.answers(job)]
        if not ends or (seconds is not None and self.now + seconds < min(ends)[0]):
            assert seconds is not None, "nothing will ever happen"
            self.now += seconds
            return []
        self.now, slot = min(ends)
        _, job = self.busy.pop(slot)
        found = self.happens(job, self.tries[job.key])
        if isinstance(found, str):
            self.end(slot)
            return [Outcome(slot, job, None, found)]
        return [Outcome(slot, job, found)]

    def answers(self, job: Job) -> bool:
        return self.happens(job, self.tries[job.key]) is not None

    def end(self, slot: str) -> None:
        self.busy.pop(slot, None)
        self.room += self.shares.pop(slot)

    def close(self) -> None: ...


class Notes(Watcher):
    def __init__(self) -> None:
        self.lost_: list[str] = []
        self.waits: list[float] = []
        self.estimates: list[float | None] = []
        self.left: list[float | None] = []

    def starting(self, slot: str, job: Job, estimate: float | None) -> None:
        self.estimates.append(estimate)

    def finished(self, slot: str, job: Job, result: CellResult, left: float | None) -> None:
        self.left.append(left)

    def again(self, slot: str, job: Job, reason: str, wait: float) -> None:
        self.waits.append(wait)

    def lost(self, slot: str, reason: str) -> None:
        self.lost_.append(reason)


@pytest.fixture
def through(tmp_path: Path) -> Callable[..., tuple[Store, Notes]]:
    def go(jobs: Sequence[Job], workers: Workers, **options: Any) -> tuple[Store, Notes]:
        store, notes = Store(tmp_path, "s"), Notes()
        run(jobs, workers, store, notes, clock=lambda: workers.now, **options)
        return store, notes

    return go


def test_every_job_is_done_once_and_no_worker_idles(through: Callable[..., Any]) -> None:
    jobs = [job(str(i), f"M{i % 9}", f"d{i % 4}", work=1.0 + i % 7) for i in range(200)]
    workers = Workers(4)
    store, notes = through(jobs, workers)
    assert set(workers.tries.values()) == {1}
    assert all(is_finished(store, item.cell.id) for item in jobs)
    total = sum(item.work for item in jobs)
    assert workers.now <= total / 4 + 7  # no more than one job beyond the fair share
    last = {slot: max(end for at, _, _, end in workers.spans if at == slot) for slot in "0123"}
    for slot in "0123":
        own = [(begin, end) for at, _, begin, end in workers.spans if at == slot]
        assert sum(end - begin for begin, end in own) == last[slot]  # without a gap
    assert notes.estimates[0] is None
    assert notes.estimates[-1] == pytest.approx(jobs[0].work + 3, abs=7)
    assert notes.left[-1] == 0


def test_a_job_waits_for_what_it_needs(through: Callable[..., Any]) -> None:
    jobs = [
        job("late", needs=("craft",), work=9), job("craft", work=1), job("free", work=5),
        job("last", needs=("late", "free", "of another run")),
    ]  # fmt: skip
    workers = Workers(2)
    through(jobs, workers)
    begin = {key: begin for _, key, begin, _ in workers.spans}
    assert begin == {"craft": 0, "free": 0, "late": 1, "last": 10}


def picks(queue: JobQueue, slot: str) -> list[str]:
    """Return the keys of all jobs in the order in which one worker gets them."""
    return [job.key for job in iter(lambda: queue.pick(1.0, slot), None)]


def test_a_worker_keeps_to_what_is_warm() -> None:
    jobs = [job(f"{m}{d}{i}", m, d, work=i + 1) for i in range(3) for m in "AB" for d in "xy"]
    queue = JobQueue(jobs)
    order = picks(queue, "0")
    groups = [key[:2] for key in order]
    assert [group for group, last in zip(groups, [None, *groups], strict=False) if group != last] \
        in (["Ax", "Ay", "Bx", "By"], ["Ax", "Ay", "By", "Bx"])  # fmt: skip
    assert order[:3] == ["Ax2", "Ax1", "Ax0"]  # long work first
    assert queue.waiting == 0


def test_workers_that_change_group_go_where_nobody_is_and_then_where_most_is_left() -> None:
    jobs = [job(f"{m}{i}", m, work=1.0) for m, count in (("A", 10), ("B", 6)) for i in range(count)]
    queue = JobQueue(jobs)
    groups = [queue.pick(1.0, slot).key[0] for slot in "01234"]  # type: ignore[union-attr]
    # 9 or 5 are left: 9 / 2 against 5 / 2, 8 / 3 against 5 / 2, 7 / 4 against 5 / 2
    assert groups == ["A", "B", "A", "A", "B"]
    queue.move("1", None)
    queue.move("4", None)
    assert queue.pick(1.0, "5").key[0] == "B"  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(2))
def test_a_worker_that_changes_group_gets_the_best_of_all(seed: int) -> None:
    """Jobs and workers come and go at random; each choice is compared with a search."""
    random = Random(seed)
    jobs = [
        job(str(place), random.choice("ABCD"), random.choice("uvwxyz"),
            work=float(random.randrange(9)), needs=(str(place - 20),) if place % 3 else ())
        for place in range(150)
    ]  # fmt: skip
    queue, running, last = JobQueue(jobs), [], dict[str, Group]()
    there = [item for item in jobs if item.needs not in {(each.key,) for each in jobs}]
    wanted = {need for item in jobs for need in item.needs}
    choices = 0

    def rank(group: Group, own: Group | None) -> tuple[bool, bool, bool, float]:
        at = [item for item in there if group_of(item) == group]
        others = list(last.values()).count(group)
        needed, work = any(item.key in wanted for item in at), sum(item.work for item in at)
        return not others, own is not None and group[0] == own[0], needed, work / (1 + others)

    while queue.waiting or running:
        slot, chance = random.choice("0123456"), random.random()
        if running and chance < 0.5:
            ended = running.pop(random.randrange(len(running)))
            if chance < 0.1:
                queue.put(ended)
                there.append(ended)
            else:
                queue.done(ended)
                there += [item for item in jobs if item.needs == (ended.key,)]
            continue
        if chance > 0.95:
            queue.move(slot, None)
            last.pop(slot, None)
        own = last.get(slot)
        ranks = {group_of(item): rank(group_of(item), own) for item in there}
        picked = queue.pick(1.0, slot)
        if picked is None:
            assert not there
            continue
        there.remove(picked)
        running.append(picked)
        last[slot] = group_of(picked)
        if own in ranks:
            assert last[slot] == own
        else:
            assert ranks[last[slot]] == max(ranks.values())
            choices += 1
    assert choices > 30


def test_early_jobs_go_first_in_the_order_of_the_suite() -> None:
    jobs = [job(f"long {m}", m, work=100.0) for m in "AB"]
    jobs += [
        job(f"{what} {m}", m, work=w, early=True)
        for m in "AB"
        for what, w in (("clean", 1), ("pgd", 9))
    ]
    order = picks(JobQueue(jobs), "0")
    assert order == ["clean A", "pgd A", "clean B", "pgd B", "long B", "long A"]


@pytest.mark.parametrize("found", ["the worker died", "memory"])
def test_what_may_pass_is_tried_again_later_and_not_for_ever(
    through: Callable[..., Any], found: str
) -> None:
    def happens(job: Job, count: int) -> CellResult | str:
        if job.key == "good" or (job.key == "passes" and count == 3):
            return ok(job)
        return found if found != "memory" else failed(job, again=True)

    jobs = [job("passes"), job("stays"), *(job("good", work=2.0) for _ in range(1))]
    workers = Workers(1, happens)
    store, notes = through(jobs, workers, retry=Retry(3, 10.0, 2.0))
    assert workers.tries == {"passes": 3, "stays": 3, "good": 1}
    assert sorted(notes.waits) == [10, 10, 20, 20]
    assert len(notes.lost_) == (5 if found != "memory" else 0)
    stays = store.get(digest("stays"))
    assert stays is not None and stays.status == "failed"
    assert stays.reason == f"{found if found != 'memory' else 'no room'} (tried 3 times)"
    assert is_finished(store, digest("passes"))
    good = next(begin for _, key, begin, _ in workers.spans if key == "good")
    assert good <= 2  # a pause holds nobody else up


def test_what_would_repeat_is_not_tried_again(through: Callable[..., Any]) -> None:
    workers = Workers(1, lambda job, count: failed(job, again=False))
    store, _ = through([job("a")], workers)
    assert workers.tries == {"a": 1}
    result = store.get(digest("a"))
    assert result is not None and result.reason == "no room"


def test_workers_of_several_sizes(through: Callable[..., Any]) -> None:
    halves = [job(f"h{i}", gpus=0.5, work=4.0) for i in range(8)]
    wholes = [job(f"w{i}", gpus=1.0, work=4.0) for i in range(2)]
    workers = Workers(2)
    through([*halves, *wholes], workers)
    assert workers.now == 4 + 8  # two whole ones side by side, then four halves twice
    assert set(workers.tries.values()) == {1}


def test_a_worker_that_hangs_is_ended(through: Callable[..., Any]) -> None:
    def happens(job: Job, count: int) -> CellResult | None:
        return None if job.key == "hangs" else ok(job)

    workers = Workers(1, happens)
    store, _ = through([job("hangs"), job("good")], workers, limit=30.0)
    assert 90 <= workers.now < 95
    result = store.get(digest("hangs"))
    assert result is not None and "more than the 30 seconds" in str(result.reason)
    assert is_finished(store, digest("good"))


def ran(workers: Workers) -> list[tuple[str, float]]:
    """Return the key and the begin of each job, in order."""
    return [(key, begin) for _, key, begin, _ in workers.spans]


def test_idle_workers_attack_parts_of_what_runs_longest(through: Callable[..., Any]) -> None:
    """From the last part on; the run does not wait for a part of a cell that is done."""
    workers = Workers(2, lambda job, count: timed(job))
    through([job("long", work=400.0, parts=4), job("short", work=1.0)], workers)
    parts = [("long.3", 1), ("long.2", 101), ("long.1", 201), ("long.0", 301)]
    assert ran(workers) == [("long", 0), ("short", 0), *parts]
    assert workers.now == 400
    assert not workers.busy


def test_a_slow_worker_is_replaced_when_others_have_done_all_parts(
    through: Callable[..., Any],
) -> None:
    def happens(job: Job, count: int) -> CellResult | None:
        return None if (job.key, count) == ("long", 1) else timed(job)

    workers = Workers(2, happens)
    store, notes = through([job("long", work=400.0, parts=4), job("short", work=1.0)], workers)
    assert ran(workers)[-2:] == [("long.0", 301), ("long", 401)]
    assert notes.lost_ == ["slower than the workers that did all parts of its job"]
    assert is_finished(store, digest("long"))


def test_a_single_part_is_tried_in_another_worker_only_if_it_is_slow(
    through: Callable[..., Any],
) -> None:
    def happens(job: Job, count: int) -> CellResult | None:
        return None if (job.key, count) == ("x.0", 1) else timed(job)

    parts = [job(f"x.{part}", part=part, work=100.0) for part in (0, 1)]
    workers = Workers(2, happens)
    through([*parts, job("x", needs=("x.0", "x.1"), work=1.0)], workers)
    # looked at after 100, 160, 220 and 280 seconds: a minute more than twice the other part
    again = [("x.0.0", 280), ("x.0", 380), ("x", 480)]
    assert ran(workers) == [("x.0", 0), ("x.1", 0), *again]


def test_a_helper_that_is_slow_is_replaced_too(through: Callable[..., Any]) -> None:
    def happens(job: Job, count: int) -> CellResult | None:
        return None if (job.key, count) in {("long", 1), ("long.3", 1)} else timed(job)

    workers = Workers(3, happens)
    short = [job(name, work=1.0) for name in "ab"]
    _, notes = through([job("long", work=400.0, parts=4), *short], workers)
    parts = [("long.3", 1), ("long.2", 1), ("long.1", 101), ("long.0", 201), ("long.3.3", 301)]
    assert ran(workers)[3:] == [*parts, ("long", 401)]
    assert len(notes.lost_) == 2


def test_parts_that_fail_are_given_to_others_again_but_not_for_ever(
    through: Callable[..., Any],
) -> None:
    def happens(job: Job, count: int) -> CellResult:
        return failed(job, again=True) if job.helps else timed(job)

    workers = Workers(2, happens)
    _, notes = through([job("long", work=800.0, parts=8), job("short", work=1.0)], workers)
    again = {"long.7": 4, "long.6": 1, "long.5": 1, "long.4": 1, "long.3": 1}
    assert workers.tries == {"long": 1, "short": 1, **again}
    assert workers.now == 800
    assert notes.waits == []  # their cell does not need them


def test_a_full_disk_ends_a_run(
    through: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, result: CellResult) -> None:
        raise DiskFull("the disk is full")

    monkeypatch.setattr(Store, "put", full)
    with pytest.raises(DiskFull):
        through([job("a"), job("b")], Workers(1))


@pytest.mark.parametrize("where", ["waiting", "keeping"])
def test_what_is_finished_when_a_run_is_stopped_is_kept(
    through: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Two workers end at once; the interruption comes before the second is heard, or kept."""
    workers, put, kept = Workers(2), Store.put, []
    answer = workers.wait

    def wait(seconds: float | None) -> list[Opened | Outcome]:
        if where == "waiting" and workers.now >= 1 and seconds != 0.0:
            raise KeyboardInterrupt
        return answer(None if seconds is None else seconds)

    def interrupted(self: Store, result: CellResult) -> None:
        kept.append(result.cell_id)
        if where == "keeping" and len(kept) == 2:
            raise KeyboardInterrupt
        put(self, result)

    monkeypatch.setattr(workers, "wait", wait)
    monkeypatch.setattr(Store, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        through([job(str(i), work=1.0) for i in range(4)], workers)
    store = Store(tmp_path, "s")
    assert [is_finished(store, digest(str(i))) for i in range(4)] == [True, True, False, False]


def test_time_left_follows_what_is_measured() -> None:
    attack = [replace(job(str(i), work=10.0), crafts=False) for i in range(10)]
    eta = Eta(attack)
    assert eta.left(1) is None
    for done, seconds in zip(attack[:2], (20.0, 40.0), strict=True):
        eta.record(done, seconds)
        eta.remove(done)
    assert eta.estimate(attack[5]) == pytest.approx(30)
    assert eta.left(2) == pytest.approx(8 * 30 / 2)
    with_more = Eta(attack, afterwards=0.2)
    with_more.record(attack[0], 20.0)
    with_more.remove(attack[0])
    assert with_more.left(1) == pytest.approx(9 * 20 + 0.2 * 10 * 20)


def test_time_left_of_a_model_and_a_dataset_that_were_measured_apart() -> None:
    seconds = {("A", "x"): 1.0, ("A", "y"): 2.0, ("B", "x"): 3.0, ("B", "y"): 6.0}
    jobs = {
        (*pair, count): job(f"{pair}{count}", *pair, work=10.0)
        for pair in seconds
        for count in range(20)
    }
    eta = Eta(jobs.values())
    for (*pair, count), done in jobs.items():
        if pair != ["B", "y"] and count < 10:
            eta.record(done, seconds[tuple(pair)])  # type: ignore[index]
            eta.remove(done)
    assert eta.estimate(jobs["B", "y", 0]) == pytest.approx(6.0, rel=0.15)
    left = eta.left(2)
    assert left == pytest.approx((10 * (1 + 2 + 3) + 20 * 6) / 2, rel=0.15)
    eta.remove(jobs["B", "y", 0])  # it failed, so it says nothing about the time of the others
    assert left is not None and eta.left(2) == pytest.approx(left - 6.0 / 2, rel=0.02)


def many(suite_file: Callable[..., Path], samples: int) -> tuple[Suite, list[Cell], Lock]:
    attacks = [
        {"kind": "apgd-ce", "eps": ["1/255", "2/255"], "steps": 100, "nested": True},
        {"kind": "pgd", "eps": "1/255", "steps": 2},
    ]
    suite = load_suite(suite_file(attacks=attacks, samples=samples))
    ids = tuple(map(str, range(samples)))
    lock = Lock({}, {"cifar10": DatasetLock("f", ids, ("a", "b"), ("{c}",))})
    return suite, list({cell.id: cell for cell in expand(suite, lock)}.values()), lock


def nothing(key: str) -> bool:
    return False


def test_who_waits_for_whom(suite_file: Callable[..., Path]) -> None:
    suite, cells, lock = many(suite_file, 16)
    jobs = {item.key: item for item in jobs_of(suite, lock, cells, 1, nothing)}
    assert list(jobs) == [cell.id for cell in cells]  # nothing is split for one worker
    for item in jobs.values():
        own = item.cell
        makers = [jobs[need].cell for need in item.needs]
        if own.mode == "full" and own.attack and own.target != "CLIP":
            assert [m.target for m in makers] == ["CLIP"]
            assert makers[0].craft_id == own.craft_id
            assert not item.crafts
        elif own.below:
            assert [m.id for m in makers] == [own.below.id]
        else:
            assert not makers


def test_long_cells_are_split_among_several_workers(suite_file: Callable[..., Path]) -> None:
    suite, cells, lock = many(suite_file, 1000)
    jobs = jobs_of(suite, lock, cells, 64, nothing)
    parts = [item for item in jobs if item.part is not None]
    assert {item.cell.attack.label for item in parts if item.cell.attack} == {"apgd-ce"}
    by_cell = Counter(item.cell.id for item in parts)
    assert set(by_cell.values()) == {4}
    whole = {item.key: item for item in jobs if item.part is None}
    for item in parts:
        assert item.key in whole[item.cell.id].needs
        assert not whole[item.cell.id].crafts
        if item.cell.below:
            assert item.cell.below.id in item.needs
    left = jobs_of(suite, lock, [c for c in cells if c.mode == "full"], 64, lambda key: True)
    assert not [item for item in left if item.crafts or item.needs]  # all crafts are there
    places = {item.key: place for place, item in enumerate(jobs)}
    assert len(places) == len(jobs)
