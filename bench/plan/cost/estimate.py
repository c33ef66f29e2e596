"""Estimated cost of a suite: crafts, time on a named GPU, disk space, weights to download."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.data import native_size
from bench.hub.weights import in_cache, remote_sources
from bench.plan.cells import Cell
from bench.plan.cost.architecture import size_of
from bench.plan.cost.lvlm_estimate import published_bytes
from bench.plan.cost.operations import (
    attack_of,
    attack_passes,
    forward_operations,
    forwards_of,
    image_count,
    skip_reason,
)
from bench.plan.precisions import stages
from bench.suite.load import Suite
from bench.suite.specs import Precision
from bench.suite.specs.models import root_model

# Dense peak rates in TFLOP/s from the vendor's data sheets: fp32 without tensor cores, tf32, bf16.
GPUS: dict[str, dict[Precision, float]] = {
    "h100": {"fp32": 67.0, "tf32": 494.0, "bf16": 989.0},
    "h200": {"fp32": 67.0, "tf32": 494.0, "bf16": 989.0},
    "a100": {"fp32": 19.5, "tf32": 156.0, "bf16": 312.0},
    "l40s": {"fp32": 91.6, "tf32": 183.0, "bf16": 362.0},
    "v100": {"fp32": 15.7, "tf32": 15.7, "bf16": 15.7},
}
UTILISATION = 0.4  # fraction of the peak rate; assumed, not measured
# bytes of RobustVLM's ViT-L-14 files; other sizes are computed
_ROBUSTVLM_L14 = 1_710_635_909


@dataclass(frozen=True, slots=True)
class Work:
    """Number of crafts of a suite and the attack steps that they take.

    Attributes:
        crafts: Number of crafts.
        shared: Number of crafts in mode `full`, which may be scored on several models.
        cells: Number of cells that use a shared craft.
        steps: Images times steps of all crafts.
        each: Images times steps if every target model had its own craft.
    """

    crafts: int
    shared: int
    cells: int
    steps: int
    each: int


def cost_lines(suite: Suite, lock: Lock, cells: Sequence[Cell], gpu: str) -> Iterator[str]:
    """Yield lines on the cost of a suite's cells; all costs are upper limits.

    Args:
        suite: The suite.
        lock: The resolved names, for the number of images of datasets.
        cells: The suite's cells.
        gpu: Name of a GPU in `GPUS`.

    Raises:
        UserError: The GPU is not in `GPUS`.
    """
    if gpu not in GPUS:
        raise UserError(f"--gpu: got {gpu!r}; allowed: {', '.join(GPUS)}")
    skipped = {cell.id: reason for cell in cells if (reason := skip_reason(suite, lock, cell))}
    cells = [cell for cell in cells if cell.id not in skipped]
    for reason, count in Counter(skipped.values()).items():
        yield f"  skipped   {count} cells: {reason}"
    work = _work(suite, lock, cells)
    yield f"  crafts    {work.crafts}; {work.cells} cells share {work.shared} of them"
    yield f"  attacking {work.steps:,} images x steps at most"
    if work.each > work.steps:
        yield (
            f"  sharing   without shared crafts it would be {work.each:,} images x steps, "
            f"{work.each / work.steps:.1f} times as many"
        )
    yield _time_line(suite, lock, cells, gpu)
    yield _disk_line(suite, lock, cells)
    yield from _weights_line(suite)


def _work(suite: Suite, lock: Lock, cells: Sequence[Cell]) -> Work:
    attacked = [cell for cell in cells if cell.crafted]
    crafts = {cell.craft_id: cell for cell in attacked}
    # all metrics of a target use one craft, so it is counted once
    own = {(cell.craft_id, cell.target): cell for cell in attacked}
    return Work(
        crafts=len(crafts),
        shared=sum(cell.mode == "full" for cell in crafts.values()),
        cells=sum(cell.mode == "full" for cell in attacked),
        steps=sum(_steps(suite, lock, cell) for cell in crafts.values()),
        each=sum(_steps(suite, lock, cell) for cell in own.values()),
    )


def _steps(suite: Suite, lock: Lock, cell: Cell) -> int:
    if cell.attack is None:
        return 0
    count = len(stages(cell.attack, cell.mode))
    each = sum(cell.attack.gradients_in_stage(stage, count) for stage in range(count))
    return image_count(suite, lock, cell) * each


def _time_line(suite: Suite, lock: Lock, cells: Sequence[Cell], gpu: str) -> str:
    forward = forward_operations(suite)
    seconds = 0.0
    crafted: set[str] = set()
    for cell in cells:
        images = image_count(suite, lock, cell)
        scoring = _effective(suite, cell.target, "fp32")
        once = forwards_of(suite.models, cell.target) * forward.get(cell.target, 0.0)
        seconds += _seconds(images * once, scoring, gpu)
        attack = attack_of(suite, lock, cell)
        if attack is None or cell.craft_id in crafted:
            continue
        crafted.add(cell.craft_id)
        precisions = stages(attack, cell.mode)
        for stage, precision in enumerate(precisions):
            for name in cell.sources:
                passes = attack_passes(suite.models, name, attack, stage, len(precisions))
                operations = passes * forward.get(name, 0.0)
                seconds += _seconds(images * operations, _effective(suite, name, precision), gpu)
    unknown = [name for name in suite.models if name not in forward]
    without = f"; not included: {', '.join(unknown)} (size not known)" if unknown else ""
    return (
        f"  time      {seconds / 3600:,.1f} hours of one {gpu} at most, estimated from operations "
        f"at {UTILISATION:.0%} of its {GPUS[gpu]['fp32']:g} TFLOP/s in fp32, not measured{without}"
    )


def _effective(suite: Suite, name: str, precision: Precision) -> Precision:
    """Return the effective compute precision: half if the model itself is in half precision."""
    return precision if root_model(suite.models, name).compute_dtype == "fp32" else "bf16"


def _seconds(operations: float, precision: Precision, gpu: str) -> float:
    return operations / (GPUS[gpu][precision] * 1e12 * UTILISATION)


def _disk_line(suite: Suite, lock: Lock, cells: Sequence[Cell]) -> str:
    shared = {cell.craft_id: cell for cell in cells if cell.crafted and cell.mode == "full"}
    width = 2 if suite.protocol.storage == "float16" else 1  # bytes per channel of a pixel
    disk, unknown = 0, []
    for dataset in suite.datasets:
        pixels = suite.protocol.pixels_of(dataset.name)
        size = native_size(dataset) if pixels == "native" else (pixels.size, pixels.size)
        if size is None:
            unknown.append(dataset.name)
            continue
        stored = (cell for cell in shared.values() if cell.dataset == dataset.name)
        images = sum(image_count(suite, lock, cell) for cell in stored)
        disk += images * 3 * size[0] * size[1] * width
    without = f"; not included: {', '.join(unknown)} (image size not known)" if unknown else ""
    return f"  disk      {disk / 1e6:,.0f} MB of crafts at most{without}"


def _weights_line(suite: Suite) -> Iterator[str]:
    """Yield a line on the weights to download.

    Weights of open_clip's tags count as not cached, because looking them up would import torch.
    """
    total, parts, seen = 0, [], set()
    for name, spec in suite.models.items():
        sources = [each for each in remote_sources(spec) if each not in seen and not in_cache(each)]
        if not sources:
            continue
        seen.update(sources)  # models that differ in their towers or settings share their weights
        size = size_of(suite, name)
        count = size.bytes if size else published_bytes(spec)
        if size and spec.config_name.startswith("chs20/") and size.image.width == 1024:
            count = _ROBUSTVLM_L14
        total += count
        parts.append(f"{name} {count / 1e9:.2f} GB" if count else f"{name} of unknown size")
    if parts:
        yield f"  weights   {total / 1e9:.1f} GB to download unless cached: {', '.join(parts)}"
