"""Names resolved to content: what is said of a part that is not to be had."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.lock import resolve
from bench.suite import load_suite
from tests.conftest import png

Maker = Callable[..., Path]


def test_the_whole_of_a_set_has_a_reason_of_its_own(suite_file: Maker, tmp_path: Path) -> None:
    """An image that is not in the sample cannot be read: attacked cells do without it."""
    root = tmp_path / "images"
    for number in range(8):
        path = root / f"thing {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(np.full((8, 8, 3), number, np.uint8)))
    protocol = {"preset": "radapt-paper", "clean": "all"}
    entry = {"kind": "folder", "name": "mine", "path": str(root)}
    suite = load_suite(suite_file(datasets=[entry], samples=4, protocol=protocol))
    lock, problems = resolve(suite)
    assert problems == {}
    assert len(lock.whole["mine"].sample_ids) == 8
    sample = lock.datasets["mine"].sample_ids
    lost = next(key for key in lock.whole["mine"].sample_ids if key not in sample)
    (root / lost).unlink()
    (root / lost).symlink_to(tmp_path / "gone")
    again, problems = resolve(suite)
    assert again.datasets == lock.datasets
    assert again.whole == {}
    assert list(problems) == ["datasets.mine.whole"]
    assert "FileNotFoundError" in problems["datasets.mine.whole"]
