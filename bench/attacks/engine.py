"""One loop for all native gradient attacks, over an active set of images.

An ascent says where each image goes next; the engine evaluates the model, decides which
images are done, and gives their slots to the next ones, so that batches stay full as long as
images are waiting. Every quantity is per image: its iteration, its step size, its best
point, its random start. So the outcome for an image does not depend on its neighbours in a
batch, beyond numerics.

Restarts and targets are runs. An image's next run begins when the last one ends, or beside it
where batches would be part-empty; a run that breaks the image ends its later ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.attacks.active_set import Fresh, Roster
from bench.attacks.ascent import Ascent, State
from bench.attacks.balls import draw, stream_seed
from bench.attacks.loss import Loss
from bench.attacks.losses import wrong_class
from bench.attacks.passes import Seen, complain, evaluate, finite, known_of, logits_at
from bench.attacks.slots import drawn, join, put, take
from bench.attacks.surrogate import Straight
from bench.core.types import Budget, Classifier, EmbeddingClassifier, Mode
from bench.models.batch_size import Batch, as_batch


@dataclass(frozen=True, slots=True)
class Run:
    """From where to where.

    Attributes:
        stream: Which of an image's random streams to use; 0 is its own, others are for restarts.
        rank: Go for the `rank`-th most likely wrong class of the clean image; 0 goes for any.
    """

    stream: int = 0
    rank: int = 0


@dataclass(frozen=True, slots=True)
class NativeAttack:
    """An ascent on a loss, run by the engine.

    Attributes:
        ascent: Where to go.
        loss: What to maximise, per image.
        batch: Images in flight at once; halved where they do not fit into memory.
        runs: What is tried on an image in turn; one alone in mode `full`, where points of
            several would have to be ranked.
        eot: Forward passes per step, whose losses, logits and gradients are averaged
            (expectation over transformation, Athalye et al. 2018, arXiv:1707.07397).
        surrogate: The model that gradients come from, where it is not the attacked one.
    """

    ascent: Ascent
    loss: Loss
    batch: int | Batch
    runs: tuple[Run, ...] = (Run(),)
    eot: int = 1
    surrogate: EmbeddingClassifier | None = None

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        budget: Budget,
        *,
        mode: Mode,
        seeds: Sequence[int],
        clean: Tensor | None = None,
        starts: Tensor | None = None,
    ) -> Tensor:
        """Attack every image; see `bench.core.types.Attack`.

        `clean` are the model's logits `[b,k]` at the images, where they are known. `starts` are
        points `[b,3,h,w]` of the balls to begin at in place of the ascent's own.
        """
        batch = as_batch(self.batch)
        model = Straight(model, self.surrogate) if self.surrogate else model
        queue, targets = torch.arange(len(images), device=images.device), labels[None]
        known: State | None = None
        with torch.no_grad():
            if mode == "success":  # what the loss must know of the images may say who is wrong
                known = known_of(self.loss, model, images, seeds, batch)
                told = self.loss.clean_logits(model, known) if known else None
                clean = clean if told is None else finite(told)
            targeted = any(run.rank for run in self.runs)
            asked = mode == "success" and not self._starts_clean(images[:1], budget)
            if clean is None and (asked or targeted):
                clean = logits_at(model, images, batch)
            if clean is not None:
                targets = torch.stack(
                    [wrong_class(clean, labels, r.rank) if r.rank else labels for r in self.runs]
                )
                if mode == "success":
                    queue = queue[clean.argmax(dim=1) == labels]
            targets = targets.expand(len(self.runs), -1)
            loop = _Loop(
                self, model, images, labels, targets, known, starts, seeds, budget, mode,
                batch,
            )  # fmt: skip
            loop.through(queue.tolist())
        return loop.result

    def _starts_clean(self, image: Tensor, budget: Budget) -> bool:
        """Return whether the first point is the image: then no other look at it is needed."""
        if not len(image):
            return True
        return torch.equal(self.ascent.first(image, budget, torch.full_like(image, 0.5)), image)


@dataclass
class _Loop:
    """One attack on one set of images; runs without gradients but where it asks for them.

    Reading a tensor makes an accelerator wait, so the host keeps its own count of
    iterations and reads one small tensor an iteration, none in mode `full`.

    Attributes:
        targets: By run and image, the classes that the attack goes for, `[runs,n]`.
        known: What the loss must know of the images, `[n, ...]`, where the engine has asked
            already; else the engine asks as images begin, so that few are in memory at once.
        starts: Where images begin, `[n,3,h,w]`; where the ascent says if None.
        seeds: One per image.
        result: Per image the point to hand out.
    """

    attack: NativeAttack
    model: Classifier
    images: Tensor
    labels: Tensor
    targets: Tensor
    known: State | None
    starts: Tensor | None
    seeds: Sequence[int]
    budget: Budget
    mode: Mode
    batch: Batch
    result: Tensor = field(init=False)
    _roster: Roster = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no image changed."""
        self.result = self.images.clone()
        runs, steps = len(self.attack.runs), self.attack.ascent.steps
        self._roster = Roster(len(self.images), runs, self.batch.size, steps)

    def through(self, queue: list[int]) -> None:
        """Attack the images of the queue, in its order."""
        slots = self.batch.size
        self._roster.expect(self._waiting(queue))
        state = self._refill({}, self._roster.row.bool())
        ended: State = {}  # wait for their last evaluation, which needs no gradient
        while state:
            logits, loss, gradient = self._evaluate(state, backward=True)
            self._hand_out(state, logits)
            iteration = state["iteration"]
            state = self.attack.ascent.advance(state, loss, gradient, self.budget)
            state["iteration"] = iteration + 1
            free, last = self._roster.advance()
            if bool(last.any()):
                ended = join(ended, take(state, self._rows(last)))
                if len(ended["row"]) >= slots:
                    ended = self._close(ended)
            state = self._refill(state, free)
        self._close(ended)

    def _waiting(self, queue: list[int]) -> Iterator[Fresh]:
        """Yield all runs of all images; by the time they are drawn, some will have fallen."""
        shape, norm = self.images.shape[1:], self.budget.norm
        pairs = (
            (row, index)
            for index in range(len(self.attack.runs))
            for row in queue
            if not self._roster.fallen(row)
        )

        def noise(pair: tuple[int, int]) -> Fresh:
            row, index = pair
            stream = self.attack.runs[index].stream
            return row, index, draw(shape, stream_seed(self.seeds[row], stream), norm)

        return drawn(noise, pairs, self.images.device)

    def _begin(self, fresh: list[Fresh]) -> State:
        device = self.images.device
        rows = torch.tensor([row for row, _, _ in fresh], device=device)
        runs = torch.tensor([index for _, index, _ in fresh], device=device)
        noise = torch.stack([start for _, _, start in fresh]).to(self.images)
        zero = torch.zeros_like(rows)
        images, ascent = self.images[rows], self.attack.ascent
        points = (
            ascent.first(images, self.budget, noise) if self.starts is None else self.starts[rows]
        )
        return {
            **ascent.begin(images, points, self.budget),
            **self._known(images, rows, [self.seeds[row] for row, _, _ in fresh]),
            "row": rows,
            "run": runs,
            "label": self.labels[rows],
            "target": self.targets[runs, rows],
            "iteration": zero,
            "faulty": zero.bool(),
        }

    def _known(self, images: Tensor, rows: Tensor, seeds: Sequence[int]) -> State:
        """Return what the loss must know of images that begin."""
        if self.known is not None:
            return take(self.known, rows)
        return known_of(self.attack.loss, self.model, images, seeds, self.batch)

    def _refill(self, state: State, free: Tensor) -> State:
        """Write what begins now over what is done, drop what is left of that, and add the rest."""
        fresh = self._roster.admit()
        if not len(fresh) and not bool(free.any()):
            return state
        filled, kept = self._roster.seat(free, fresh)
        if len(filled):
            state = put(state, filled.to(self.images.device), self._begin(fresh[: len(filled)]))
        if not bool(kept.all()):
            state = take(state, self._rows(kept)) if bool(kept.any()) else {}
        added = fresh[len(filled) :]
        return join(state, self._begin(added)) if added else state

    def _hand_out(self, state: State, logits: Tensor) -> None:
        """Hand out the points that are broken."""
        faulty = ~torch.isfinite(logits).all(dim=1)
        if self.mode == "full":  # read at the end
            state["faulty"] = state["faulty"] | faulty
            return
        wrong = logits.argmax(dim=1) != state["label"]
        broken, bad = torch.stack([wrong, faulty]).cpu().unbind()
        complain(bad)
        if bool(broken.any()):
            self._keep_broken(state, broken, self._roster.row, self._roster.run)

    def _keep_broken(self, state: State, broken: Tensor, row: Tensor, run: Tensor) -> None:
        """Keep the broken points that decide; all but the state is on the host."""
        places = broken.nonzero().squeeze(1)
        chosen = places[self._roster.strike(row[places].tolist(), run[places].tolist())]
        rows = chosen.to(self.images.device)
        self.result[state["row"][rows]] = state["point"][rows]

    def _close(self, state: State) -> State:
        """Evaluate last points, hand out what the ascent makes of them, return that none wait."""
        if not state:
            return {}
        logits, loss, _ = self._evaluate(state, backward=False)
        complain(state["faulty"] | ~torch.isfinite(logits).all(dim=1))
        found = self.attack.ascent.finish(state, loss)
        if self.mode == "full":
            self.result[state["row"]] = found
            return {}
        row, run = state["row"].cpu(), state["run"].cpu()
        broken = (logits.argmax(dim=1) != state["label"]).cpu()
        self._keep_broken(state, broken, row, run)
        standing = {at: place for place, at in enumerate(row.tolist())}  # of runs the last one
        left = [place for at, place in standing.items() if not self._roster.fallen(at)]
        rows = torch.tensor(left, dtype=torch.long, device=self.images.device)
        self.result[state["row"][rows]] = found[rows]
        return {}

    def _evaluate(self, state: State, *, backward: bool) -> Seen:
        attack = self.attack
        return evaluate(
            self.model, attack.loss, state, self.batch, eot=attack.eot, backward=backward
        )

    def _rows(self, mask: Tensor) -> Tensor:
        return mask.nonzero().squeeze(1).to(self.images.device, non_blocking=True)
