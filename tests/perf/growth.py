"""Time and memory against the number of images, with a model that costs next to nothing.

python -m tests.perf.growth 5000          one line: seconds, and the peak of memory in MB
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.resolved_names import DatasetLock, Lock
from bench.data.tensors import Images
from bench.evaluate.cell import Evaluator
from bench.plan.cells import expand
from bench.store.results_folder import Store
from bench.suite.load import Suite
from tests.perf.peak import peak
from tests.perf.subjects import timed

COUNTS = (500, 5_000, 50_000)
_SUITE = {
    "suite": "growth",
    "protocol": {"preset": "radapt-paper", "pixels": "native"},
    "models": {"cheap": {"kind": "python", "target": "tests.perf.growth:Cheap"}},
    "datasets": ["cifar10"],
    "attacks": [{"kind": "apgd-ce", "eps": "1/255", "steps": 10}],
    "threats": ["white-box", {"transfer": "cheap"}],
}


class Cheap:
    """Embeds by the means of patches."""

    logit_scale = 10.0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def encode_image(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images - 0.5, 8).flatten(1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return torch.randn(len(texts), 48, generator=torch.Generator().manual_seed(0))


def growth() -> Iterator[dict[str, object]]:
    """A process of its own for each count: clean, white-box, and a craft with its scoring."""
    for count in COUNTS:
        call = [sys.executable, "-m", "tests.perf.growth", str(count)]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
        seconds, memory, before = map(float, done.stdout.split())
        yield {
            "images": count,
            "seconds": round(seconds, 2),
            "ms an image": round(1000 * seconds / count, 3),
            "peak MB": round(memory),
            "kB an image over the start": round(1000 * (memory - before) / count, 1),
        }


def main(count: int) -> None:
    """Run the suite on so many random images."""
    torch.set_num_threads(1)
    suite = Suite.model_validate({**_SUITE, "samples": count})
    ids = tuple(map(str, range(count)))
    lock = Lock({}, {"cifar10": DatasetLock("", ids, tuple("abcdefghij"), ("{c}",))})
    device = torch.device("cpu")
    before = peak()
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    labels = torch.arange(count) % 10
    images = Images(ids, torch.from_numpy(pixels), labels, tuple("abcdefghij"), ("{c}",))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), "growth")
        evaluate = Evaluator(suite, lock, {}, store, device, trust=True)
        evaluate._cache._images._held["cpu"].put("cifar10", images)
        evaluate._cache.model("cheap")
        results = []
        seconds = timed(lambda: results.extend(evaluate(cell) for cell in expand(suite, lock)))
    assert all(result.status == "ok" for result in results), results[0].reason
    print(seconds, peak(), before)


if __name__ == "__main__":
    main(int(sys.argv[1]))
