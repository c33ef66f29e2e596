"""Short labels of cells and times, for terminals and event files."""

from bench.plan.cells import Cell
from bench.suite.metrics import metric_of


def describe(cell: Cell) -> str:
    """Return a short label of a cell: target, dataset, attack, radius, threat model."""
    name = metric_of(cell.metric).column
    if cell.attack is None or cell.threat is None:
        return f"{cell.target} · {cell.dataset} · {name('clean')}"
    threat = f"from {cell.source}" if cell.threat.source else cell.threat.kind
    seed = f" · seed {cell.seed}" if cell.seed else ""
    attack = name(f"{cell.attack.label_in_norm} {cell.eps}")
    return f"{cell.target} · {cell.dataset} · {attack} {threat}{seed}"


def duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours, such as `12 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds, such as `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
