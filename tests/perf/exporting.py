"""Time to export 10,000 rows, from made-up results.

python -m tests.perf.exporting                     the result files come first, and are not timed
python -m tests.perf.exporting --images 1000       images per cell; default 100
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.export import export
from bench.plan import DatasetLock, Lock, expand, spec_digests
from bench.store import Store
from bench.suite import Suite
from bench.types import CellResult

_SETS = ("imagenet", "cifar10", "cifar100", "stl10", "caltech101", "cars", "dtd", "eurosat")
_SETS += ("fgvc_aircraft", "flowers", "imagenet-r", "imagenet_sketch", "pcam", "pets", "sun397")


def made_up(folder: Path, images: int) -> tuple[Suite, Store, int]:
    """Return a suite of 10,230 cells with random outcomes on disk."""
    models = {
        f"model {place}": {"kind": "python", "target": f"own:m{place}"} for place in range(22)
    }
    eps = [f"{radius}/255" for radius in (1, 2, 4, 8, 16)]
    suite = Suite.model_validate(
        {
            "suite": "made-up",
            "protocol": "radapt-paper",
            "samples": images,
            "models": models,
            "datasets": [{"kind": "folder", "name": name, "path": name} for name in _SETS],
            "attacks": [{"kind": kind, "eps": eps} for kind in ("pgd", "cw", "apgd-ce")],
            "threats": ["white-box", {"transfer": "model 0"}],
        }
    )
    ids = tuple(map(str, range(images)))
    lock = Lock(
        {name: name for name in models},
        {name: DatasetLock(name, ids, ("x",)) for name in _SETS},
        spec_digests(suite),
    )
    store = Store(folder, suite.suite)
    store.put_lock(lock)
    cells = expand(suite, lock)
    rng = np.random.default_rng(0)
    for cell in cells:
        right = rng.random(images) < rng.random()
        far = rng.random(images).astype(np.float32)
        store.put(CellResult(cell.id, "ok", right, ids, far, 1.0, images, {"torch": "0"}))
    return suite, store, len(cells)


def main() -> None:
    """Make results up, export them, and say how long it took and how large the page is."""
    parser = argparse.ArgumentParser(prog="python -m tests.perf.exporting")
    parser.add_argument("--images", type=int, default=100)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        suite, store, count = made_up(Path(folder), images)
        began = time.perf_counter()
        export(suite, store)
        seconds = time.perf_counter() - began
        page = (store.folder / "leaderboard.html").stat().st_size / 1e6
        print(f"{count} rows of {images} images: {seconds:.1f} s, a page of {page:.1f} MB")


if __name__ == "__main__":
    main()
