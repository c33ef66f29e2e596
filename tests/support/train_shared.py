"""A short TGA run whose batches are shared out over the processes of a launch."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from radapt.finetune import InnerAttack, finetune
from radapt.loop import Schedule
from radapt.objectives import tga
from tests.support.towers import build

TEXT = F.normalize(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)), dim=1)


def train(out: Path) -> None:
    """Train with this process's share of each batch."""
    accelerator = Accelerator(cpu=True)

    def batches(first: int) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(first))
            share = slice(accelerator.process_index, None, accelerator.num_processes)
            yield images[share], (torch.arange(8) % 3)[share]
            first += 1

    finetune(
        "tga",
        build("gelu"),
        tga(build("gelu"), TEXT),
        batches,
        # no radius: random starts are each process's own, and would tell the runs apart
        InnerAttack(eps=0.0, steps=1, step=0.0),
        Schedule(steps=5, warmup=1, lr=1e-3, weight_decay=0.01, optimiser="sgd", accumulate=2),
        out,
        accelerator,
    )


def train_as(rank: int, processes: int, store: int, out: Path) -> None:
    """Train as process `rank` of a launch, with the variables that torchrun sets."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store),
    }  # fmt: skip
    train(out)
    assert Accelerator(cpu=True).num_processes == processes
