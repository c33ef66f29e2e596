"""What a run tells an experiment tracker: rows of cells, curves over the radius, the page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from bench.core.types import CLEAN
from bench.report.export.leaderboard_values import Column, columns, threat_name
from bench.suite.load import Suite
from bench.suite.specs import eps_value


@dataclass(frozen=True, slots=True)
class Curve:
    """The numbers of all models against the radius of an attack, as means over the datasets.

    Attributes:
        title: Threat and attack: `white-box, pgd`; a further metric of the task is added.
        values: By model, pairs of a radius and a number on the scale of the metric, in the order
            of the radii; radius 0 is the number without attack. Missing numbers are left out.
    """

    title: str
    values: Mapping[str, tuple[tuple[float, float], ...]]


class Tracker(Protocol):
    """A run in an experiment tracker. It is made and used in one thread; all calls may raise."""

    def row(self, row: Mapping[str, Any]) -> None:
        """Log a computed cell: columns of `cells.csv`, without those that are empty."""

    def curve(self, curve: Curve) -> None:
        """Log a curve; called when all cells are done."""

    def page(self, path: Path) -> None:
        """Keep the leaderboard's HTML page with the run."""

    def close(self) -> None:
        """End the tracker's run, after all has been sent."""


def settings_of(suite: Suite) -> dict[str, Any]:
    """Return what a tracker states as the configuration of its run."""
    return {
        "suite": suite.suite,
        "models": list(suite.models),
        "datasets": [dataset.name for dataset in suite.datasets],
        "attacks": [attack.column(eps) for attack in suite.attacks for eps in attack.eps],
        "threats": [threat_name(threat.kind, threat.source or "") for threat in suite.threats],
        "samples": suite.samples,
    }


def page_name(suite: Suite) -> str:
    """Return the name of the page among the artefacts of all suites."""
    return f"leaderboard-{suite.suite}"


def curves_of(suite: Suite, board: pd.DataFrame) -> Iterator[Curve]:
    """Yield the curves of a leaderboard, one per threat model, attack and metric."""
    clean = {column.metric: column for column in columns(suite) if column.attack == CLEAN}
    attacks: dict[tuple[str, str], list[Column]] = {}
    for column in columns(suite):
        if column.eps:
            attacks.setdefault((column.attack, column.metric), []).append(column)
    for (threat, source), rows in board.groupby(["threat", "source"], sort=False):
        for (attack, metric), members in attacks.items():
            points = [(0.0, clean[metric].key)]
            points += sorted((eps_value(column.eps), column.key) for column in members)
            if rows[[key for radius, key in points if radius]].isna().all(axis=None):
                continue  # the attack is not of this threat model
            yield Curve(
                ", ".join(filter(None, (threat_name(str(threat), str(source)), attack, metric))),
                {
                    row["model"]: tuple(
                        (radius, float(row[key])) for radius, key in points if pd.notna(row[key])
                    )
                    for row in rows.to_dict("records")
                },
            )
