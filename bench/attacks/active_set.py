"""Bookkeeping on the host: the image in each slot, the broken images, and the runs to start."""

from collections.abc import Iterator

import torch
from torch import Tensor

EMPTY_SLOT = -1  # the image index of an empty slot
_OVERLAP_FRACTION = 4  # runs of one image overlap only below 1/4 of the slots
_OVERLAP_AGE_FRACTION = 10  # the next run may overlap once the last one has done 1/10 of its steps
_LEAST_OVERLAP_AGE = 3  # in steps; most images that an attack can break are broken by then

PendingRun = tuple[int, int, Tensor]  # index of the image, index of the run, noise [3,h,w]


class ActiveSet:
    """The slots of a batch, tracked on the host so that reading them never stalls a GPU.

    Several runs of one image may overlap in time. The result is still the result of sequential
    runs, because a run that breaks the image ends later runs, never earlier runs.

    Attributes:
        row: Index of the image in each slot, `[slots]`.
        run: Index of the image's run in each slot, `[slots]`.
    """

    def __init__(self, images: int, runs: int, slots: int, steps: int) -> None:
        """Start with all slots empty.

        Args:
            images: Number of images.
            runs: Number of runs per image.
            slots: Largest number of images in the batch.
            steps: Number of gradient steps per run.
        """
        self.row, self.run, self._age = (torch.zeros(0, dtype=torch.long) for _ in range(3))
        self._broken_by = torch.full((images,), runs)  # the first run that broke an image
        self._runs = runs
        self._slots = slots
        self._steps = steps
        self._overlap_age = min(steps, max(_LEAST_OVERLAP_AGE, steps // _OVERLAP_AGE_FRACTION))
        self._pending: Iterator[PendingRun] = iter(())
        self._head: PendingRun | None = None

    def set_pending(self, pending: Iterator[PendingRun]) -> None:
        """Set the queue of runs; an image's first run comes before its second run."""
        self._pending = pending
        self._head = next(pending, None)

    def is_broken(self, row: int) -> bool:
        """Return whether a run has broken the image."""
        return int(self._broken_by[row]) < self._runs

    def record_broken(self, rows: list[int], runs: list[int]) -> list[int]:
        """Record which runs broke which images.

        Args:
            rows: Index of each broken image.
            runs: Index of the run that broke it.

        Returns:
            Positions in `rows` whose point is the image's result: the earliest run wins.
        """
        chosen = {}
        for at in sorted(range(len(rows)), key=runs.__getitem__):
            if runs[at] < int(self._broken_by[rows[at]]):
                self._broken_by[rows[at]] = runs[at]
                chosen[rows[at]] = at
        return list(chosen.values())

    def advance(self) -> tuple[Tensor, Tensor]:
        """Count one gradient step for each slot.

        Returns:
            Two masks `[slots]`: the slots that are now free, and the slots whose run has used its
            last step. The second mask is a subset of the first; the last points of these runs
            have not been evaluated yet.
        """
        self._age += 1
        over = self.run >= self._broken_by[self.row]
        last = ~over & (self._age == self._steps)
        free = over | last
        self.row[free] = EMPTY_SLOT
        return free, last

    def admit(self) -> list[PendingRun]:
        """Take from the queue the runs that start now, and return them in order.

        If no run of an image is active, its next run starts as soon as a slot is free. If a run
        is active, the next run starts only when slots would otherwise stay empty.
        """
        admitted: list[PendingRun] = []
        active = int((self.row != EMPTY_SLOT).sum())
        while self._head is not None and active + len(admitted) < self._slots:
            row, run, _ = self._head
            if not self.is_broken(row):
                if run and not self._may_start(row, admitted, active + len(admitted)):
                    break
                admitted.append(self._head)
            self._head = next(self._pending, None)
        return admitted

    def _may_start(self, row: int, admitted: list[PendingRun], active: int) -> bool:
        if any(row == other for other, _, _ in admitted):
            return False
        ages = self._age[self.row == row]
        if not len(ages):
            return True
        return active < self._slots // _OVERLAP_FRACTION and int(ages.min()) >= self._overlap_age

    def assign_slots(self, free: Tensor, admitted: list[PendingRun]) -> tuple[Tensor, Tensor]:
        """Put admitted runs into slots.

        Free slots that no run needs are removed. If there are more runs than free slots, new
        slots are appended at the end.

        Args:
            free: Mask of the free slots, `[slots]`.
            admitted: The runs to place.

        Returns:
            Indices of the free slots that were filled, and the mask `[slots]` of the slots that
            were not removed.
        """
        rows = torch.tensor([row for row, _, _ in admitted], dtype=torch.long)
        runs = torch.tensor([run for _, run, _ in admitted], dtype=torch.long)
        slots = free.nonzero().squeeze(1)
        filled, spare = slots[: len(rows)], slots[len(rows) :]
        kept = torch.ones_like(free)
        kept[spare] = False
        for column, values in (
            (self.row, rows),
            (self.run, runs),
            (self._age, torch.zeros_like(rows)),
        ):
            column[filled] = values[: len(filled)]
        added = slice(len(filled), None)
        self.row = torch.cat([self.row[kept], rows[added]])
        self.run = torch.cat([self.run[kept], runs[added]])
        self._age = torch.cat([self._age[kept], torch.zeros_like(rows[added])])
        return filled, kept
