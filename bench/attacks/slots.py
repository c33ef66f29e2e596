"""The rows of images in flight: one dictionary of tensors, a row per image."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from bench.attacks.ascent import State

S = TypeVar("S")
T = TypeVar("T")
_AHEAD, _WORKERS = 256, 8  # random starts drawn before they are asked for, and by how many


def take(state: State, rows: Tensor) -> State:
    """Return the chosen rows of a state."""
    return {key: value[rows] for key, value in state.items()}


def join(first: State, second: State) -> State:
    """Return the rows of both states; either may be empty."""
    if not first or not second:
        return first or second
    return {key: torch.cat([value, second[key]]) for key, value in first.items()}


def put(state: State, rows: Tensor, fresh: State) -> State:
    """Return the state with fresh rows in the place of others; it is written over.

    Where an ascent keeps one tensor under two names, the second gets a copy.
    """
    owned: dict[int, Tensor] = {}
    written = {}
    for key, value in state.items():
        place = value.clone() if value.data_ptr() in owned else value
        owned[place.data_ptr()] = place
        place[rows] = fresh[key]
        written[key] = place
    return written


def drawn(draw: Callable[[S], T], things: Iterable[S], device: torch.device) -> Iterator[T]:
    """Yield `draw(thing)` for each in turn, drawn on the CPU so that devices agree.

    Other threads draw ahead while an accelerator works. A CPU has no time to spare.
    """
    if device.type == "cpu":
        yield from map(draw, things)
        return
    coming: deque[Future[T]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for thing in things:
            coming.append(pool.submit(draw, thing))
            if len(coming) > _AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
