"""Two workers of a machine that need the same images: decoded by each, or mapped from a file.

python -m tests.perf --only images
python -m tests.perf.decoded FOLDER    a worker: loads the images of FOLDER when it is told to
"""

import io
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.core.array_files import ArrayFiles
from bench.core.resolved_names import Lock
from bench.evaluate.image_cache import ImageCache
from bench.evaluate.loading import Loading
from bench.plan.resolve import resolve
from bench.suite.load import Suite

IMAGES = 2_000
WORKERS = 2
_DISTINCT = 100  # the same files again and again are as slow to decode
_HEIGHT, _WIDTH = 375, 500  # of most images of ImageNet
_KINDS = ("each worker decodes", "a file, first run", "a file, later runs")
_CPU = torch.device("cpu")


def decoded() -> Iterator[dict[str, object]]:
    """Let two workers at once load the same images, in each of the three ways."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write_images(folder / "set")
        found = {kind: _load(folder, kind) for kind in _KINDS}
        for kind, (seconds, cpu, memory) in found.items():
            plain = found[_KINDS[0]]
            yield {
                "images": f"{IMAGES} of 224 px, JPEG",
                "workers": WORKERS,
                "images come from": kind,
                "s": round(seconds, 1),
                "CPU s": round(cpu, 1),
                "MB": round(memory),
                "speed-up": round(plain[0] / seconds, 1),
                "share of the CPU s": f"{cpu / plain[1]:.0%}",
                "share of the MB": f"{memory / plain[2]:.0%}",
            }


def _load(folder: Path, kind: str) -> tuple[float, float, float]:
    """Return the wall time of the slower worker, and CPU time and memory of both."""
    files = None if kind == _KINDS[0] else ArrayFiles(folder / "arrays")
    (folder / "files").write_bytes(pickle.dumps(files))
    call = [sys.executable, "-m", "tests.perf.decoded", str(folder)]
    pipe = subprocess.PIPE
    with ExitStack() as open_:
        workers = [
            open_.enter_context(subprocess.Popen(call, stdin=pipe, stdout=pipe, text=True))
            for _ in range(WORKERS)
        ]
        _ask(workers, "start")
        seconds, cpu = zip(*_ask(workers, "load"), strict=True)
        memory = [each for (each,) in _ask(workers, "measure")]
        _ask(workers, "end")
    return max(seconds), sum(cpu), sum(memory)


def _ask(workers: Sequence[subprocess.Popen[str]], what: str) -> list[list[float]]:
    """Ask all workers at once, and return the figures that each answers."""
    for worker in workers:
        assert worker.stdin
        print(what, file=worker.stdin, flush=True)
    answers = [worker.stdout.readline() for worker in workers if worker.stdout]
    return [[float(each) for each in answer.split()] for answer in answers]


def _write_images(root: Path) -> None:
    """Write class folders of smooth images with a little noise, and the lock of their dataset."""
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        path = root / f"class {number % 10}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < _DISTINCT:
            coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            smooth = np.asarray(Image.fromarray(coarse).resize((_WIDTH, _HEIGHT)), np.int16)
            noisy = smooth + random.integers(-9, 10, smooth.shape)
            content = io.BytesIO()
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=92)
            path.write_bytes(content.getvalue())
        else:
            first = number % _DISTINCT
            same = root / f"class {first % 10}" / f"{first:05d}.jpg"
            path.write_bytes(same.read_bytes())
    suite = Suite.model_validate(
        {
            "suite": "decoded",
            "protocol": {"preset": "radapt-paper", "pixels": {"size": 224, "fit": "crop"}},
            "models": {"CLIP": {"kind": "nano", "weights": "clip"}},
            "datasets": [{"kind": "folder", "name": "set", "path": str(root)}],
            "samples": IMAGES,
        }
    )
    lock, problems = resolve(suite)
    assert not problems
    (root.parent / "suite").write_bytes(pickle.dumps((suite, lock)))


def main(folder: Path) -> None:
    """Load the images when told, and print seconds, CPU seconds and memory in MB."""
    torch.set_num_threads(1)
    suite, lock = pickle.loads((folder / "suite").read_bytes())
    assert isinstance(suite, Suite) and isinstance(lock, Lock)
    files: ArrayFiles | None = pickle.loads((folder / "files").read_bytes())
    cache = ImageCache(suite, lock, _CPU, Loading({}, None, _CPU), files)
    sys.stdin.readline()
    _answer()
    before = _shared_fairly()
    sys.stdin.readline()
    started, cpu = time.perf_counter(), time.process_time()
    images = cache.images("set")
    images.pixels.max()  # reads each page
    _answer(time.perf_counter() - started, time.process_time() - cpu)
    sys.stdin.readline()
    _answer(_shared_fairly() - before)
    sys.stdin.readline()
    _answer()


def _answer(*figures: float) -> None:
    print(*figures, flush=True)


def _shared_fairly() -> float:
    """Return the MB of this process, of which it counts those shared with k others as 1/(k+1)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


if __name__ == "__main__":
    main(Path(sys.argv[1]))
