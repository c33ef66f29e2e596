"""Logs a run to Trackio, on this machine or, by its environment variables, to a Space."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.program import PROJECT
from bench.run.trackers.tracker import Curve, page_name, settings_of
from bench.suite.load import Suite


class Trackio:
    """A run of Trackio; `TRACKIO_SPACE_ID` names a Space, `TRACKIO_DIR` a local folder."""

    def __init__(self, suite: Suite, folder: Path) -> None:
        """Begin a run in the project `radapt-bench`."""
        import trackio

        self.page_name = page_name(suite)
        self.run = trackio.init(
            project=PROJECT, name=suite.suite, config=settings_of(suite), embed=False
        )

    def row(self, row: Mapping[str, Any]) -> None:
        """Log the columns of a cell as the metrics of a step."""
        self.run.log({f"cell/{key}": value for key, value in row.items()})

    def curve(self, curve: Curve) -> None:
        """Log a step per radius, with `eps` and the numbers of all models."""
        by_radius: dict[float, dict[str, float]] = {}
        for model, points in curve.values.items():
            for radius, value in points:
                by_radius.setdefault(radius, {})[f"{curve.title}/{model}"] = value
        for radius in sorted(by_radius):
            self.run.log({"eps": radius, **by_radius[radius]})

    def page(self, path: Path) -> None:
        """Log the page as an artefact."""
        self.run.log_artifact(path, name=self.page_name, type="page")

    def close(self) -> None:
        """End the run."""
        self.run.finish()
