"""One loop for all native gradient attacks, over an active set of images.

An ascent says where each image goes next; the engine evaluates the model, decides which
images are done, and gives their slots to the next ones, so that batches stay full as long as
images are waiting. Every quantity is per image: its iteration, its step size, its best
point, its random start. So the outcome for an image does not depend on its neighbours in a
batch, beyond numerics.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from bench.attacks.ascent import Ascent, State
from bench.attacks.balls import draw, stream_seed
from bench.attacks.losses import Loss, wrong_class
from bench.attacks.slots import drawn, join, put, take
from bench.errors import CellError
from bench.memory import Batch, as_batch
from bench.types import Budget, Classifier, Mode

_Seen = tuple[Tensor, Tensor, Tensor]  # logits [b,k], losses [b], gradients [b,3,h,w]


@dataclass(frozen=True, slots=True)
class NativeAttack:
    """An ascent on a loss, run by the engine.

    Attributes:
        ascent: Where to go.
        loss: What to maximise, per image.
        batch: Images in flight at once; halved where they do not fit into memory.
        stream: Which of an image's random streams to use; 0 is its own, others are for restarts.
        rank: Go for the `rank`-th most likely wrong class of the clean image; 0 goes for any.
        eot: Forward passes per step, whose losses, logits and gradients are averaged
            (expectation over transformation, Athalye et al. 2018, arXiv:1707.07397).
    """

    ascent: Ascent
    loss: Loss
    batch: int | Batch
    stream: int = 0
    rank: int = 0
    eot: int = 1

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
    ) -> Tensor:
        """Attack every image; see `bench.types.Attack`.

        `clean` are the model's logits `[b,k]` at the images, where they are known.
        """
        batch = as_batch(self.batch)
        queue, targets = torch.arange(len(images), device=images.device), labels
        with torch.no_grad():
            asked = mode == "success" and not self._starts_clean(images[:1], budget)
            if clean is None and (asked or self.rank):
                look = batch.parts(len(images), lambda part: finite(model(images[part])))
                clean = torch.cat(look)
            if clean is not None:
                targets = wrong_class(clean, labels, self.rank) if self.rank else labels
                if mode == "success":
                    queue = queue[clean.argmax(dim=1) == labels]
            run = _Run(self, model, images, labels, targets, budget, mode, batch)
            run.through(queue.tolist(), seeds)
        return run.result

    def _starts_clean(self, image: Tensor, budget: Budget) -> bool:
        """Return whether the first point is the image: then no other look at it is needed."""
        if not len(image):
            return True
        first = self.ascent.begin(image, budget, torch.full_like(image, 0.5))["point"]
        return torch.equal(first, image)


@dataclass
class _Run:
    """One attack on one set of images; runs without gradients but where it asks for them.

    Reading a tensor makes an accelerator wait, so the host keeps its own count of
    iterations and reads one small tensor an iteration, none in mode `full`.
    """

    attack: NativeAttack
    model: Classifier
    images: Tensor
    labels: Tensor
    targets: Tensor
    budget: Budget
    mode: Mode
    batch: Batch
    result: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no image changed."""
        self.result = self.images.clone()

    def through(self, queue: list[int], seeds: Sequence[int]) -> None:
        """Attack the images of the queue, in its order."""
        shape, norm = self.images.shape[1:], self.budget.norm
        streams = [stream_seed(seeds[row], self.attack.stream) for row in queue]
        noise = drawn(lambda seed: draw(shape, seed, norm), streams, self.images.device)
        waiting = iter(zip(queue, noise, strict=True))
        slots, steps = self.batch.size, self.attack.ascent.steps
        state = self._begin(list(islice(waiting, slots)))
        ended: State = {}  # wait for their last evaluation, which needs no gradient
        age = torch.zeros(len(state["row"]) if state else 0, dtype=torch.long)
        while state:
            logits, loss, gradient = self._evaluate(state, backward=True)
            broken = self._hand_out(state, logits)
            iteration = state["iteration"]
            state = self.attack.ascent.advance(state, loss, gradient, self.budget)
            state["iteration"] = iteration + 1
            age += 1
            last = ~broken & (age == steps)
            if bool(last.any()):
                ended = join(ended, take(state, self._rows(last)))
                if len(ended["row"]) >= slots:
                    ended = self._close(ended)
            free = broken | last
            if bool(free.any()):
                state, age = self._refill(state, age, free, list(islice(waiting, int(free.sum()))))
        self._close(ended)

    def _begin(self, fresh: list[tuple[int, Tensor]]) -> State:
        if not fresh:
            return {}
        rows = torch.tensor([row for row, _ in fresh], device=self.images.device)
        noise = torch.stack([start for _, start in fresh]).to(self.images)
        zero = torch.zeros_like(rows)
        return {
            **self.attack.ascent.begin(self.images[rows], self.budget, noise),
            "row": rows,
            "label": self.labels[rows],
            "target": self.targets[rows],
            "iteration": zero,
            "faulty": zero.bool(),
        }

    def _refill(
        self, state: State, age: Tensor, free: Tensor, fresh: list[tuple[int, Tensor]]
    ) -> tuple[State, Tensor]:
        """Give free slots to fresh images, and drop those for which there are none."""
        slots = free.nonzero().squeeze(1)
        filled, spare = slots[: len(fresh)], slots[len(fresh) :]
        if len(filled):
            state = put(state, filled.to(self.images.device), self._begin(fresh))
            age[filled] = 0
        if len(spare):
            kept = torch.ones_like(free)
            kept[spare] = False
            state, age = take(state, self._rows(kept)) if bool(kept.any()) else {}, age[kept]
        return state, age

    def _hand_out(self, state: State, logits: Tensor) -> Tensor:
        """Hand out the points that are broken, and return on the host which slots they had."""
        faulty = ~torch.isfinite(logits).all(dim=1)
        if self.mode == "full":  # read at the end
            state["faulty"] = state["faulty"] | faulty
            return torch.zeros(len(faulty), dtype=torch.bool)
        wrong = logits.argmax(dim=1) != state["label"]
        broken, bad = torch.stack([wrong, faulty]).cpu().unbind()
        _complain(bad)
        if bool(broken.any()):
            rows = self._rows(broken)
            self.result[state["row"][rows]] = state["point"][rows]
        return broken

    def _close(self, state: State) -> State:
        """Evaluate last points, hand out what the ascent makes of them, return that none wait."""
        if state:
            logits, loss, _ = self._evaluate(state, backward=False)
            _complain(state["faulty"] | ~torch.isfinite(logits).all(dim=1))
            found = self.attack.ascent.finish(state, loss)
            if self.mode == "success":
                broken = (logits.argmax(dim=1) != state["label"])[:, None, None, None]
                found = torch.where(broken, state["point"], found)
            self.result[state["row"]] = found
        return {}

    def _evaluate(self, state: State, *, backward: bool) -> _Seen:
        """Return logits, losses and gradients at the points, means over `eot` passes."""
        passes = []
        for _ in range(self.attack.eot):
            parts = self.batch.parts(
                len(state["row"]), lambda part: self._pass(state, part, backward=backward)
            )
            passes.append(_merge(parts, torch.cat))
        return _merge(passes, lambda each: torch.stack(each).mean(dim=0))

    def _pass(self, state: State, part: slice, *, backward: bool) -> _Seen:
        point = state["point"][part].detach().requires_grad_(backward)
        with torch.set_grad_enabled(backward):
            logits = self.model(point)
            loss = self.attack.loss(logits, state["label"][part], state["target"][part])
            total = loss.sum()
        if backward and not total.requires_grad:
            finite(logits)
            raise CellError("the model's logits have no gradient with respect to the images")
        gradient = torch.autograd.grad(total, point)[0] if backward else logits.new_empty(0)
        return logits.detach(), loss.detach(), gradient

    def _rows(self, mask: Tensor) -> Tensor:
        return mask.nonzero().squeeze(1).to(self.images.device, non_blocking=True)


def _merge(seen: list[_Seen], how: Callable[[list[Tensor]], Tensor]) -> _Seen:
    if len(seen) == 1:  # as it nearly always is: saves a copy
        return seen[0]
    logits, loss, gradient = (how(list(each)) for each in zip(*seen, strict=True))
    return logits, loss, gradient


def finite(logits: Tensor) -> Tensor:
    """Return the logits, or raise CellError where one is not a number."""
    _complain(~torch.isfinite(logits).all(dim=1))
    return logits


def _complain(faulty: Tensor) -> None:
    if bool(faulty.any()):
        raise CellError(
            f"the model's logits are NaN or infinite for {int(faulty.sum())} of {len(faulty)}"
        )
