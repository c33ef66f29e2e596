"""The queue of jobs: which job a free worker gets next."""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench.run.jobs import Job

Group = tuple[str, str]  # model and dataset; a worker keeps those of its last job in memory
_Kind = tuple[float, bool]  # the accelerator share that jobs ask for, and whether they are early
_Entry = tuple[bool, float, int]  # of a job in its group, or of a group; the smallest goes first


def group_of(job: Job) -> Group:
    """Return the model that a job attacks, or else scores, and its dataset."""
    cell = job.cell
    model = cell.source if job.part is not None else cell.target
    return model, cell.dataset


class JobQueue:
    """Waiting jobs, grouped by model and dataset.

    Early jobs go first, in the order of the suite within a group. A worker stays with the group of
    its last job while the group has jobs: first jobs that other jobs need, then long jobs. Next it
    prefers, in this order: a group that no other worker has, a group of the same model, a group
    with a job that others need, and the group with the most work for each worker that has it. So
    long work starts early, and loaded models are reused.

    A pick takes a time that hardly grows with the number of jobs and groups.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        """Add all jobs; a job waits for those of its `needs` that are among the jobs."""
        self._jobs = jobs
        self._place = {job.key: place for place, job in enumerate(jobs)}
        self._wanted: dict[str, list[int]] = {}  # places of the jobs that wait for a job, by key
        self._lacks: dict[int, int] = {}  # how many jobs a waiting job still needs, by place
        for place, job in enumerate(jobs):
            needs = {need for need in job.needs if need in self._place}
            for need in needs:
                self._wanted.setdefault(need, []).append(place)
            if needs:
                self._lacks[place] = len(needs)
        self._kinds: dict[_Kind, _Groups] = {}
        self._count: Counter[float] = Counter()  # available jobs by share
        self._last: dict[str, Group] = {}  # the group of each worker's last job
        self._workers: Counter[Group] = Counter()
        self.waiting = len(jobs)
        for place, job in enumerate(jobs):
            if place not in self._lacks:
                self._add(job)

    def put(self, job: Job) -> None:
        """Make a job available again that was picked before."""
        self._add(job)
        self.waiting += 1

    def done(self, job: Job) -> None:
        """Record that a job has ended, and make the jobs available that waited only for it."""
        for place in self._wanted.pop(job.key, ()):
            self._lacks[place] -= 1
            if not self._lacks[place]:
                del self._lacks[place]
                self._add(self._jobs[place])

    def sizes(self) -> list[float]:
        """Return the accelerator shares that available jobs ask for, the largest first."""
        return sorted((size for size, count in self._count.items() if count), reverse=True)

    def ready(self, gpus: float) -> int:
        """Return how many available jobs ask for this share."""
        return self._count[gpus]

    def pick(self, gpus: float, slot: str) -> Job | None:
        """Remove and return the next job for a worker with this share; None if there is none."""
        kinds = (self._kinds.get((gpus, early)) for early in (True, False))
        groups = next((each for each in kinds if each), None)
        if groups is None:
            return None
        last = self._last.get(slot)
        if last is not None and last in groups:
            group = last
        else:
            group = groups.best(last)
            self.move(slot, group)
        job = self._jobs[groups.pop(group)]
        self._count[gpus] -= 1
        self.waiting -= 1
        return job

    def move(self, slot: str, group: Group | None) -> None:
        """Record that a worker loads the model and dataset of a group; None if it has ended."""
        left = self._last.pop(slot, None)
        if left is not None:
            self._workers[left] -= 1
        if group is not None:
            self._last[slot] = group
            self._workers[group] += 1
        for groups in self._kinds.values():
            groups.changed.update(each for each in (left, group) if each is not None)

    def _add(self, job: Job) -> None:
        kind, place = (job.gpus, job.early), self._place[job.key]
        if kind not in self._kinds:
            self._kinds[kind] = _Groups(self._jobs, self._workers)
        order = (False, 0.0) if job.early else (job.key not in self._wanted, -job.work)
        self._kinds[kind].add(group_of(job), (*order, place))
        self._count[job.gpus] += 1


class _Groups:
    """The available jobs of a kind by group, and which group is the best for a worker.

    Attributes:
        changed: Groups that may be better than they were, or that have got or lost their only
            worker, since the last call of `best`.
    """

    def __init__(self, jobs: Sequence[Job], workers: Mapping[Group, int]) -> None:
        """Start with no job; `workers` has the number of workers of each group at any time."""
        self._all, self._workers = jobs, workers
        self._jobs: dict[Group, list[_Entry]] = {}
        self._work: dict[Group, float] = {}
        # the groups that some worker has, or none, of a model or of all models (None)
        self._rankings: dict[tuple[bool, str | None], _Ranking] = {}
        self.changed: set[Group] = set()

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, group: Group) -> bool:
        return group in self._jobs

    def add(self, group: Group, entry: _Entry) -> None:
        """Add a job: whether no other job needs it, minus its work (0 if early), and its place."""
        heapq.heappush(self._jobs.setdefault(group, []), entry)
        self._work[group] = self._work.get(group, 0.0) + self._all[entry[-1]].work
        self.changed.add(group)

    def pop(self, group: Group) -> int:
        """Remove the first job of a group, and return its place."""
        *_, place = heapq.heappop(self._jobs[group])
        self._work[group] -= self._all[place].work
        if not self._jobs[group]:
            del self._jobs[group], self._work[group]
        return place

    def best(self, last: Group | None) -> Group:
        """Return the best group for a worker whose last group is `last` and has no job."""
        for group in self.changed & self._jobs.keys():
            for model in (group[0], None):
                place = self._has_worker(group), model
                self._rankings.setdefault(place, _Ranking()).add(group, self._rank(group))
        self.changed.clear()
        models = [last[0], None] if last else [None]
        for taken in (False, True):
            for model in models:
                ranking = self._rankings.get((taken, model))
                best = ranking and ranking.best(partial(self._rank_in, taken))
                if best:
                    return best
        raise LookupError("no job is available")

    def _has_worker(self, group: Group) -> bool:
        return self._workers.get(group, 0) > 0

    def _rank(self, group: Group) -> _Entry:
        no_need, _, place = self._jobs[group][0]
        return no_need, -self._work[group] / (1 + self._workers.get(group, 0)), place

    def _rank_in(self, taken: bool, group: Group) -> _Entry | None:
        """Return the rank of a group; None if it has no job, or has a worker unlike `taken`."""
        there = group in self._jobs and self._has_worker(group) == taken
        return self._rank(group) if there else None


class _Ranking:
    """Groups by rank, in a heap: a rank that has got worse is seen when it comes to the top."""

    def __init__(self) -> None:
        self._heap: list[tuple[_Entry, Group]] = []
        self._rank: dict[Group, _Entry] = {}  # of each group's valid entry in the heap

    def add(self, group: Group, rank: _Entry) -> None:
        """Add a group, or give it another rank."""
        if self._rank.get(group) == rank:
            return
        self._rank[group] = rank
        heapq.heappush(self._heap, (rank, group))
        if len(self._heap) > 2 * len(self._rank) + 8:  # mostly entries that are no longer valid
            self._heap = [(rank, group) for group, rank in self._rank.items()]
            heapq.heapify(self._heap)

    def best(self, rank_now: Callable[[Group], _Entry | None]) -> Group | None:
        """Return the group with the best rank, and drop groups whose rank is None now."""
        while self._heap:
            rank, group = self._heap[0]
            if self._rank.get(group) != rank:
                heapq.heappop(self._heap)
                continue
            now = rank_now(group)
            if now == rank:
                return group
            if now is None:
                heapq.heappop(self._heap)
                del self._rank[group]
            else:
                self._rank[group] = now
                heapq.heapreplace(self._heap, (now, group))
        return None
