"""The memory of a GPU that a process may use."""

import pytest
import torch

from bench.core.devices import usable_memory
from bench.models.batch_size import batch_for

GPU = torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Stand in for a GPU of 1000 bytes on which this process may use 30%."""
    state = {"free": 900.0, "share": 0.3, "reserved": 100.0, "peak": 0.0}
    fakes = {
        "mem_get_info": lambda device: (int(state["free"]), 1000),
        "get_per_process_memory_fraction": lambda device: state["share"],
        "memory_reserved": lambda device: int(state["reserved"]),
        "memory_allocated": lambda device: 100,
        "max_memory_allocated": lambda device: 100 + int(state["peak"]),
        "reset_peak_memory_stats": lambda device: None,
        "empty_cache": lambda: None,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return state


def test_a_worker_may_use_its_fraction_less_what_it_holds(gpu: dict[str, float]) -> None:
    assert usable_memory(GPU) == (200, 300)
    gpu["free"] = 50  # the other workers have the rest
    assert usable_memory(GPU) == (50, 300)


def test_a_batch_is_sought_within_the_fraction(gpu: dict[str, float]) -> None:
    tried: list[int] = []

    def work(part: slice) -> None:
        tried.append(part.stop)
        gpu["peak"] = (
            5 * part.stop
        )  # 16 images need 80 bytes, 32 would need 160, all but 80% of 200

    assert batch_for(GPU, 8, 8, work).size == 16
    assert tried == [8, 16]
