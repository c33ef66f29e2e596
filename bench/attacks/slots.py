"""Operations on the state of a batch: a dictionary of tensors with one row per image."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from bench.attacks.ascent import State

S = TypeVar("S")
T = TypeVar("T")
_DRAWN_AHEAD = 256  # number of random starts that are drawn before they are needed
_DRAW_THREADS = 8


def take(state: State, rows: Tensor) -> State:
    """Return the rows of a state at the given indices or mask."""
    return {key: value[rows] for key, value in state.items()}


def join(first: State, second: State) -> State:
    """Concatenate the rows of two states; either may be empty."""
    if not first or not second:
        return first or second
    return {key: torch.cat([value, second[key]]) for key, value in first.items()}


def put(state: State, rows: Tensor, fresh: State) -> State:
    """Overwrite rows of a state in place, and return it.

    If an ascent stores one tensor under two keys, the second key gets a copy first.

    Args:
        state: The state to change.
        rows: Indices of the rows to overwrite.
        fresh: The new rows, in the same order.
    """
    owned: dict[int, Tensor] = {}
    written = {}
    for key, value in state.items():
        place = value.clone() if value.data_ptr() in owned else value
        owned[place.data_ptr()] = place
        place[rows] = fresh[key]
        written[key] = place
    return written


def draw_ahead(draw: Callable[[S], T], things: Iterable[S], device: torch.device) -> Iterator[T]:
    """Yield `draw(thing)` for each thing, in order.

    Random numbers come from the CPU, so that all devices get the same numbers. With a GPU, other
    threads draw ahead while it computes; on a CPU that would only compete with the model.
    """
    if device.type == "cpu":
        yield from map(draw, things)
        return
    coming: deque[Future[T]] = deque()
    with ThreadPoolExecutor(_DRAW_THREADS) as pool:
        for thing in things:
            coming.append(pool.submit(draw, thing))
            if len(coming) > _DRAWN_AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
