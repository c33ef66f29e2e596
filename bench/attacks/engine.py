"""The loop that runs all native gradient attacks on an active set of images.

An ascent computes the next point of each image. The engine evaluates the model, decides which
images are finished, and gives their slots to waiting images, so that batches stay full. Every
quantity (iteration, step size, best point, random start) is per image. So the result for an image
does not depend on the other images in the batch, up to floating-point error.

Each restart and each target is a run. An image's next run starts when its last run ends, or
earlier if slots of the batch would otherwise be empty. A run that breaks the image (makes the
model misclassify it) ends the image's later runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.attacks.active_set import ActiveSet, PendingRun
from bench.attacks.ascent import Ascent, State
from bench.attacks.balls import draw, stream_seed
from bench.attacks.loss import Loss
from bench.attacks.passes import (
    Evaluation,
    evaluate,
    finite,
    logits_at,
    precompute,
    raise_if_faulty,
    still_wrong,
)
from bench.attacks.slots import draw_ahead, join, put, take
from bench.attacks.surrogate import BpdaModel
from bench.attacks.targets import Run, nearest_classes, targets_of, wrong_classes
from bench.core.types import Budget, Classifier, EmbeddingClassifier, Mode
from bench.models.batch_size import Batch, as_batch


@dataclass(frozen=True, slots=True)
class NativeAttack:
    """A gradient attack: an ascent that maximises a loss, run by the engine.

    Attributes:
        ascent: The update rule.
        loss: The loss to maximise, per image.
        batch: Number of images attacked at the same time; halved when memory runs out.
        runs: The runs on each image, in order. Mode `full` allows only one run, because points
            of several runs would have to be ranked.
        eot: Forward passes per step. Their losses, logits and gradients are averaged
            (expectation over transformation, Athalye et al. 2018, arXiv:1707.07397).
        surrogate: The model that computes the gradients, if it is not the attacked model.
        judges: Number of further passes that must all misclassify a point before the attack stops
            there, for a random model, and clean images are all attacked; 1 for other models.
        compared: Number of likeliest wrong classes whose order as targets is MALT's; if 0, targets
            are in the order of the clean image's logits.
    """

    ascent: Ascent
    loss: Loss
    batch: int | Batch
    runs: tuple[Run, ...] = (Run(),)
    eot: int = 1
    surrogate: EmbeddingClassifier | None = None
    judges: int = 1
    compared: int = 0

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
        order: Tensor | None = None,
    ) -> Tensor:
        """Attack every image; see `bench.core.types.Attack`.

        Three arguments are added, for callers that have them: `clean`, the model's logits `[b,k]`
        at the clean images; `starts`, start points `[b,3,h,w]` within the budget, which replace
        the start points of the ascent; and `order`, the result of `order_targets`.
        """
        batch = as_batch(self.batch)
        if self.compared and order is None:
            order = self.order_targets(model, images, labels, budget)
        model = BpdaModel(model, self.surrogate) if self.surrogate else model
        queue = torch.arange(len(images), device=images.device)
        precomputed: State | None = None
        with torch.no_grad():
            if mode == "success":  # the precomputed tensors may give the clean logits for free
                precomputed = precompute(self.loss, model, images, seeds, batch)
                given = self.loss.clean_logits(model, precomputed) if precomputed else None
                clean = clean if given is None else finite(given)
            ranks = 0 if self.compared else max(run.target_rank for run in self.runs)
            needed = mode == "success" and not self._starts_clean(images[:1], budget)
            if clean is None and (needed or ranks):
                clean = logits_at(model, images, batch)
            if clean is not None and ranks:
                order = wrong_classes(clean, labels, ranks)
            if clean is not None and mode == "success" and self.judges == 1:
                queue = queue[clean.argmax(dim=1) == labels]
            targets = targets_of(self.runs, labels, order)
            loop = _Loop(
                self, model, images, labels, targets, precomputed, starts, seeds, budget, mode,
                batch,
            )  # fmt: skip
            loop.attack_images(queue.tolist())
        return loop.result

    def order_targets(
        self, model: Classifier, images: Tensor, labels: Tensor, budget: Budget
    ) -> Tensor:
        """Return, per image, the classes that MALT compares in its order, `[n,compared]`.

        If there are fewer wrong classes, all of them.
        """
        model = BpdaModel(model, self.surrogate) if self.surrogate else model
        return nearest_classes(
            model, images, labels, budget,
            candidates=self.compared, eot=self.eot, batch=as_batch(self.batch),
        )  # fmt: skip

    def _starts_clean(self, image: Tensor, budget: Budget) -> bool:
        """Return whether the start point is the clean image, so that step 0 gives its logits."""
        if not len(image):
            return True
        return torch.equal(self.ascent.first(image, budget, torch.full_like(image, 0.5)), image)


@dataclass
class _Loop:
    """One attack on one set of images. The caller disables gradients; `evaluate` enables them.

    Reading a tensor makes the host wait for the GPU. So the host keeps its own count of
    iterations, and reads one small tensor per iteration in mode `success` and none in mode `full`.

    Attributes:
        targets: Target class by run and image, `[runs,n]`.
        precomputed: Tensors `[n, ...]` that the loss computed from all clean images, or None. If
            None, they are computed when an image starts, which needs less memory.
        starts: Start points `[n,3,h,w]`, or None for the start points of the ascent.
        seeds: One random seed per image.
        result: The adversarial images so far, `[n,3,h,w]`.
    """

    attack: NativeAttack
    model: Classifier
    images: Tensor
    labels: Tensor
    targets: Tensor
    precomputed: State | None
    starts: Tensor | None
    seeds: Sequence[int]
    budget: Budget
    mode: Mode
    batch: Batch
    result: Tensor = field(init=False)
    _active: ActiveSet = field(init=False)

    def __post_init__(self) -> None:
        """Start from the clean images."""
        self.result = self.images.clone()
        runs, steps = len(self.attack.runs), self.attack.ascent.steps
        self._active = ActiveSet(len(self.images), runs, self.batch.size, steps)

    def attack_images(self, queue: list[int]) -> None:
        """Attack the images with the given indices, in this order."""
        slots = self.batch.size
        self._active.set_pending(self._pending_runs(queue))
        state = self._refill({}, self._active.row.bool())
        ended: State = {}  # last points, collected for an evaluation without gradients
        while state:
            logits, loss, gradient = self._evaluate(state, backward=True)
            self._keep_misclassified(state, logits)
            iteration = state["iteration"]
            state = self.attack.ascent.advance(state, loss, gradient, self.budget)
            state["iteration"] = iteration + 1
            free, last = self._active.advance()
            if bool(last.any()):
                ended = join(ended, take(state, self._rows(last)))
                if len(ended["row"]) >= slots:
                    ended = self._finish(ended)
            state = self._refill(state, free)
        self._finish(ended)

    def _pending_runs(self, queue: list[int]) -> Iterator[PendingRun]:
        """Yield all runs of all images, except runs of images that are broken by then."""
        shape, norm = self.images.shape[1:], self.budget.norm
        pairs = (
            (row, index)
            for index in range(len(self.attack.runs))
            for row in queue
            if not self._active.is_broken(row)
        )

        def noise(pair: tuple[int, int]) -> PendingRun:
            row, index = pair
            stream = self.attack.runs[index].stream
            return row, index, draw(shape, stream_seed(self.seeds[row], stream), norm)

        return draw_ahead(noise, pairs, self.images.device)

    def _begin(self, admitted: list[PendingRun]) -> State:
        device = self.images.device
        rows = torch.tensor([row for row, _, _ in admitted], device=device)
        runs = torch.tensor([index for _, index, _ in admitted], device=device)
        noise = torch.stack([start for _, _, start in admitted]).to(self.images)
        zero = torch.zeros_like(rows)
        images, ascent = self.images[rows], self.attack.ascent
        points = (
            ascent.first(images, self.budget, noise) if self.starts is None else self.starts[rows]
        )
        return {
            **ascent.begin(images, points, self.budget),
            **self._precomputed_for(images, rows, [self.seeds[row] for row, _, _ in admitted]),
            "row": rows,
            "run": runs,
            "label": self.labels[rows],
            "target": self.targets[runs, rows],
            "iteration": zero,
            "faulty": zero.bool(),
        }

    def _precomputed_for(self, images: Tensor, rows: Tensor, seeds: Sequence[int]) -> State:
        """Return the tensors that the loss computes from the clean images of a new run."""
        if self.precomputed is not None:
            return take(self.precomputed, rows)
        return precompute(self.attack.loss, self.model, images, seeds, self.batch)

    def _refill(self, state: State, free: Tensor) -> State:
        """Write new runs into the free slots, remove unused slots, and append missing slots."""
        admitted = self._active.admit()
        if not len(admitted) and not bool(free.any()):
            return state
        filled, kept = self._active.assign_slots(free, admitted)
        if len(filled):
            state = put(state, filled.to(self.images.device), self._begin(admitted[: len(filled)]))
        if not bool(kept.all()):
            state = take(state, self._rows(kept)) if bool(kept.any()) else {}
        added = admitted[len(filled) :]
        return join(state, self._begin(added)) if added else state

    def _keep_misclassified(self, state: State, logits: Tensor) -> None:
        """Store the points that the model misclassifies as results (mode `success`)."""
        faulty = ~torch.isfinite(logits).all(dim=1)
        if self.mode == "full":  # `_finish` reads it, so that the GPU need not wait here
            state["faulty"] = state["faulty"] | faulty
            return
        wrong = logits.argmax(dim=1) != state["label"]
        broken, bad = torch.stack([wrong, faulty]).cpu().unbind()
        raise_if_faulty(bad)
        broken = self._confirmed(state, broken)
        if bool(broken.any()):
            self._keep_broken(state, broken, self._active.row, self._active.run)

    def _keep_broken(self, state: State, broken: Tensor, row: Tensor, run: Tensor) -> None:
        """Store the points of the earliest run that broke each image.

        `broken` (a mask), `row` and `run` are on the host, `[b]`.
        """
        places = broken.nonzero().squeeze(1)
        chosen = places[self._active.record_broken(row[places].tolist(), run[places].tolist())]
        rows = chosen.to(self.images.device)
        self.result[state["row"][rows]] = state["point"][rows]

    def _finish(self, state: State) -> State:
        """Evaluate the last points, store the ascent's results, and return an empty state."""
        if not state:
            return {}
        logits, loss, _ = self._evaluate(state, backward=False)
        raise_if_faulty(state["faulty"] | ~torch.isfinite(logits).all(dim=1))
        found = self.attack.ascent.finish(state, loss)
        if self.mode == "full":
            self.result[state["row"]] = found
            return {}
        row, run = state["row"].cpu(), state["run"].cpu()
        broken = (logits.argmax(dim=1) != state["label"]).cpu()
        self._keep_broken(state, self._confirmed(state, broken), row, run)
        last = {at: place for place, at in enumerate(row.tolist())}  # the last run of each image
        unbroken = [place for at, place in last.items() if not self._active.is_broken(at)]
        rows = torch.tensor(unbroken, dtype=torch.long, device=self.images.device)
        self.result[state["row"][rows]] = found[rows]
        return {}

    def _confirmed(self, state: State, broken: Tensor) -> Tensor:
        if (passes := self.attack.judges) == 1:
            return broken
        return still_wrong(self.model, state, broken, self.batch, passes=passes)

    def _evaluate(self, state: State, *, backward: bool) -> Evaluation:
        loss, eot = self.attack.loss, self.attack.eot
        return evaluate(self.model, loss, state, self.batch, eot=eot, backward=backward)

    def _rows(self, mask: Tensor) -> Tensor:
        return mask.nonzero().squeeze(1).to(self.images.device, non_blocking=True)
