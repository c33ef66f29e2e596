"""The host's account of an attack: who is in which slot, who has fallen, and who begins next."""

from collections.abc import Iterator

import torch
from torch import Tensor

NOBODY = -1  # the image of an empty slot
_FULL_ENOUGH = 4  # a batch is, at this part of its size: second runs beside a first then wait
_PATIENCE = 10  # an image that withstands this part of a run's steps may begin another
_LEAST_PATIENCE = 3  # steps; most images that fall at all have fallen then

Fresh = tuple[int, int, Tensor]  # an image's row, which of its runs, and its noise [3,h,w]


class Roster:
    """Slots and images, kept on the host so that an accelerator need not wait to be read.

    An image's runs may go side by side, and yet what comes of it is what would come of one
    after another: a run that breaks the image ends its later runs, never an earlier one.

    Attributes:
        row: By slot, its image.
        run: By slot, which of the image's runs.
    """

    def __init__(self, images: int, runs: int, slots: int, steps: int) -> None:
        """Begin with all slots empty.

        Args:
            images: How many there are.
            runs: How many each has.
            slots: Images in flight at once.
            steps: Gradients of a run.
        """
        self.row, self.run, self._age = (torch.zeros(0, dtype=torch.long) for _ in range(3))
        self._broken_by = torch.full((images,), runs)  # the first run that broke an image
        self._runs = runs
        self._slots = slots
        self._steps = steps
        self._patience = min(steps, max(_LEAST_PATIENCE, steps // _PATIENCE))
        self._waiting: Iterator[Fresh] = iter(())
        self._head: Fresh | None = None

    def expect(self, waiting: Iterator[Fresh]) -> None:
        """Take note of all runs of all images, an image's first before its second."""
        self._waiting = waiting
        self._head = next(waiting, None)

    def fallen(self, row: int) -> bool:
        """Return whether a run has broken the image."""
        return int(self._broken_by[row]) < self._runs

    def strike(self, rows: list[int], runs: list[int]) -> list[int]:
        """Note which runs broke which images; return the places of those that decide."""
        chosen = {}
        for at in sorted(range(len(rows)), key=runs.__getitem__):
            if runs[at] < int(self._broken_by[rows[at]]):
                self._broken_by[rows[at]] = runs[at]
                chosen[rows[at]] = at
        return list(chosen.values())

    def advance(self) -> tuple[Tensor, Tensor]:
        """Count a gradient for each slot; return which slots are free, and which are at an end.

        Those that are at an end are free as well; their last point is still to be judged.
        """
        self._age += 1
        over = self.run >= self._broken_by[self.row]
        last = ~over & (self._age == self._steps)
        free = over | last
        self.row[free] = NOBODY
        return free, last

    def admit(self) -> list[Fresh]:
        """Return what begins now, in turn.

        A run of an image that has none under way begins as soon as there is room, a further
        one only where slots would otherwise be empty.
        """
        fresh: list[Fresh] = []
        flying = int((self.row != NOBODY).sum())
        while self._head is not None and flying + len(fresh) < self._slots:
            row, run, _ = self._head
            if not self.fallen(row):
                if run and not self._may_begin(row, fresh, flying + len(fresh)):
                    break
                fresh.append(self._head)
            self._head = next(self._waiting, None)
        return fresh

    def _may_begin(self, row: int, fresh: list[Fresh], flying: int) -> bool:
        if any(row == other for other, _, _ in fresh):
            return False
        ages = self._age[self.row == row]
        if not len(ages):
            return True
        return flying < self._slots // _FULL_ENOUGH and int(ages.min()) >= self._patience

    def seat(self, free: Tensor, fresh: list[Fresh]) -> tuple[Tensor, Tensor]:
        """Put images into free slots; return the slots filled, and which slots are kept.

        Free slots for which there is no image are dropped, and such as are missing added at the
        end.
        """
        rows = torch.tensor([row for row, _, _ in fresh], dtype=torch.long)
        runs = torch.tensor([run for _, run, _ in fresh], dtype=torch.long)
        slots = free.nonzero().squeeze(1)
        filled, spare = slots[: len(rows)], slots[len(rows) :]
        kept = torch.ones_like(free)
        kept[spare] = False
        for held, given in (
            (self.row, rows),
            (self.run, runs),
            (self._age, torch.zeros_like(rows)),
        ):
            held[filled] = given[: len(filled)]
        added = slice(len(filled), None)
        self.row = torch.cat([self.row[kept], rows[added]])
        self.run = torch.cat([self.run[kept], runs[added]])
        self._age = torch.cat([self._age[kept], torch.zeros_like(rows[added])])
        return filled, kept
