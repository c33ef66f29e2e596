"""Write stored adversarial images in the form that `kind: images` of another suite reads.

    FOLDER/<attack>@<eps>-from-<source>/<dataset>.safetensors

Stored are the images of shared crafts: those for transfer, and white-box images if several metrics
read them. White-box images of classification are not stored. If cells stop when their number is
precise enough, a file has the images that at least one cell used.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from bench.attacks.stored_images import decode
from bench.core.errors import FAILURES, UserError
from bench.core.identifiers import relative_path_fault
from bench.data.tensors import Images
from bench.evaluate.image_cache import ImageCache
from bench.evaluate.loading import Loading
from bench.evaluate.tracebacks import reason
from bench.plan.cells import Cell
from bench.plan.labels import describe
from bench.plan.shards import part_key, parts_of
from bench.store.snapshot import Results
from bench.store.writing import write_atomically

_NOT_STORED = {
    "success": "white-box images are not stored; a transfer threat with the model as its source "
    "stores images of the same attack",
    "full": "not in the folder of crafts",
}


def write_adversarial(results: Results, folder: Path) -> Iterator[str]:
    """Write a file per stored craft; yield its path, and reasons why other cells have no file.

    Args:
        results: Stored results of the suite.
        folder: Folder of the files.

    Raises:
        UserError: The images of a dataset cannot be loaded, or a file cannot be written.
    """
    cpu = torch.device("cpu")
    cache = ImageCache(results.suite, results.lock, cpu, Loading({}, None, cpu))
    names = _Names()
    without: Counter[str] = Counter()
    crafts: dict[str, tuple[Cell, int]] = {}  # a cell of each craft, and how many images are used
    for cell, result in results.cells_with_results:
        if not cell.crafted or result is None or result.status != "ok":
            continue
        if cell.mode == "success":
            without[_NOT_STORED[cell.mode]] += 1
            continue
        first, count = crafts.get(cell.craft_id, (cell, 0))
        crafts[cell.craft_id] = first, max(count, len(result.sample_ids))
    for cell, count in crafts.values():
        try:
            images = cache.images(cell.dataset)
        except FAILURES as error:  # datasets can fail in many ways; report all as a run does
            raise UserError(f"{describe(cell)}: {reason(error)}") from error
        data = _file_of(results, cell, images, count)
        if data is None:
            without[_NOT_STORED[cell.mode]] += 1
            continue
        path = folder / names.of(cell) / f"{_dataset_path(cell.dataset)}.safetensors"
        write_atomically(path, partial(_write, data))
        yield str(path)
    for why, count in without.items():
        yield f"{count} cells without a file: {why}"


def _write(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _file_of(results: Results, cell: Cell, images: Images, count: int) -> bytes | None:
    """Return the content of a craft's file, or None if a part of the craft is not stored.

    Args:
        results: Stored results of the suite.
        cell: A cell with the craft.
        images: The images of its dataset.
        count: Number of images, from the first, that the file must have.
    """
    attack, threat = cell.attack, cell.threat
    assert attack is not None and threat is not None
    storage, found = results.suite.protocol.storage, []
    parts = [rows for rows in parts_of(attack, len(images.labels)) if rows.start < count]
    for rows in parts:
        shape = (len(rows), *images.pixels.shape[1:])
        craft = results.store.craft(part_key(cell.craft_id, rows), shape)
        if craft is None:
            return None
        clean = images.floats(torch.arange(rows.start, rows.stop))
        if storage == "float16":
            found.append(decode(craft.kept, clean, cell.budget, storage).numpy())
        else:
            found.append(craft.kept)
    facts = {
        "ids": json.dumps(images.sample_ids[: parts[-1].stop]),
        "dataset": cell.dataset,
        "eps": cell.eps,
        "norm": cell.budget.norm,
        "source": cell.source,
        "threat": threat.kind,
        "attack": attack.model_dump_json(exclude={"eps", "norm"}),
        "seed": str(cell.seed),
        "craft_id": cell.craft_id,
    }
    return save({"images": np.concatenate(found)}, facts)


def _dataset_path(name: str) -> str:
    if why := relative_path_fault(name):
        raise UserError(f"datasets.{name}: {why}, so it cannot name a file; rename the dataset")
    return name


class _Names:
    """Names of folders, one per attack, radius, source and seed, whatever characters these have."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str, int], str] = {}

    def of(self, cell: Cell) -> str:
        assert cell.attack is not None
        key = (cell.attack.label_in_norm, cell.eps, cell.source, cell.seed)
        if key not in self._known:
            seed = f"-seed-{cell.seed}" if cell.seed else ""
            text = f"{cell.attack.column(cell.eps)}-from-{cell.source}{seed}"
            plain = re.sub(r"[^\w.@+-]+", "-", text)[:150]
            taken = sum(name.partition(" ")[0] == plain for name in self._known.values())
            self._known[key] = f"{plain} {taken + 1}" if taken else plain
        return self._known[key]
