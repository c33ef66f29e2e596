"""Adversarial images are scored in the form in which they are kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import load_results
from bench.attacks.stored_images import decode, encode
from bench.core.types import Budget
from bench.plan.shards import part_key
from bench.run.suite_run import run_suite
from bench.store.results_folder import Store
from bench.suite.load import load_suite
from bench.suite.specs import Storage

BUDGET = Budget(2 / 255)


def test_truncation_is_what_torchvision_does() -> None:
    from torchvision.transforms.functional import pil_to_tensor, to_pil_image

    clean = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    kept = encode(clean, clean, "uint8-truncate")
    png = torch.stack([pil_to_tensor(to_pil_image(image)) for image in clean])
    assert torch.equal(torch.from_numpy(kept), png)


@pytest.mark.parametrize(
    ("storage", "expected"),
    [("uint8-truncate", [100, 101]), ("uint8-round", [101, 101])],
)
def test_eight_bits_are_scored_as_they_are(storage: Storage, expected: list[int]) -> None:
    clean = torch.full((1, 3, 1, 2), 100 / 255)
    points = torch.tensor([100.9, 101.2])[None, None, None].expand(1, 3, 1, 2) / 255
    kept = encode(points, clean, storage)
    assert kept.dtype == np.uint8
    found = decode(kept, clean, BUDGET, storage)
    assert torch.equal(found[0, 0, 0], torch.tensor(expected) / 255)


def test_half_precision_is_brought_back_into_the_ball() -> None:
    clean = torch.full((1, 3, 8, 8), 0.5)
    found = decode(encode(clean + BUDGET.eps, clean, "float16"), clean, BUDGET, "float16")
    assert float((found - clean).max()) <= BUDGET.eps
    assert torch.allclose(found, clean + BUDGET.eps, atol=1e-5)


@pytest.mark.parametrize("storage", ["uint8-truncate", "uint8-round"])
def test_a_suite_with_eight_bits(
    suite_file: Callable[..., Path], tmp_path: Path, storage: str
) -> None:
    protocol = {"preset": "radapt-paper", "pixels": "native", "storage": storage}
    attacks = [{"kind": "pgd", "eps": "2/255", "steps": 3}]
    suite = load_suite(suite_file(protocol=protocol, attacks=attacks))
    report = run_suite(suite, results=tmp_path)
    frame = load_results(report.folder)
    assert set(frame["status"]) == {"ok"}
    attacked = frame[frame["attack"] != "clean"]
    # embedded images have 8 bits: rounding meets them again, cutting what lies just below does not
    assert attacked["flags"].str.contains("beyond-eps").all() == (storage == "uint8-truncate")
    store = Store(tmp_path, suite.suite)
    (craft,) = {row for row in attacked[attacked["threat"] == "transfer"]["craft_id"]}
    kept = store.craft(part_key(craft, range(16)))
    assert kept is not None and kept.kept.dtype == np.uint8
    for cell_id in attacked["cell_id"]:  # distances are those of whole pixels
        result = store.get(cell_id)
        assert result is not None
        assert np.allclose(result.distance * 255, np.round(result.distance * 255), atol=1e-3)
