"""A short TGA run whose batches are shared out over the processes it is launched with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from radapt.finetune import InnerAttack, finetune
from radapt.loop import Schedule
from radapt.objectives import tga
from tests.radapt.test_finetune import text
from tests.support.towers import build

torch.set_num_threads(1)
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
    tga(build("gelu"), text()),
    batches,
    # no radius: random starts are each process's own, and would tell the runs apart
    InnerAttack(eps=0.0, steps=1, step=0.0),
    Schedule(steps=5, warmup=1, lr=1e-3, weight_decay=0.01, optimiser="sgd", accumulate=2),
    Path(sys.argv[1]),
    accelerator,
)
