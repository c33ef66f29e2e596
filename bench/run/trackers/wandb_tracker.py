"""Logs a run to Weights & Biases."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.program import PROJECT
from bench.run.trackers.tracker import Curve, page_name, settings_of
from bench.suite.load import Suite


class Wandb:
    """A run of Weights & Biases, which reads its own environment variables."""

    def __init__(self, suite: Suite, folder: Path) -> None:
        """Begin a run in the project `radapt-bench`, or in that of `WANDB_PROJECT`.

        Raises:
            RuntimeError: Nobody is logged in.
        """
        import wandb

        self.wandb, self.page_name = wandb, page_name(suite)
        online = wandb.setup().settings.mode not in ("offline", "disabled")
        if online and not wandb.login(prompt=False):  # a question would stand amid the run's output
            raise RuntimeError("not logged in; run `wandb login`, or set WANDB_MODE=offline")
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=suite.suite,
            config=settings_of(suite),
            settings=wandb.Settings(console="off"),  # else it takes over the process's output
        )

    def row(self, row: Mapping[str, Any]) -> None:
        """Log the columns of a cell as a step of the history."""
        self.run.log({f"cell/{key}": value for key, value in row.items()})

    def curve(self, curve: Curve) -> None:
        """Log a chart with a line per model."""
        lines = {model: points for model, points in curve.values.items() if points}
        chart = self.wandb.plot.line_series(
            xs=[[radius for radius, _ in points] for points in lines.values()],
            ys=[[value for _, value in points] for points in lines.values()],
            keys=list(lines),
            title=curve.title,
            xname="eps",
        )
        self.run.log({f"curves/{curve.title}": chart})

    def page(self, path: Path) -> None:
        """Log the page as an artefact."""
        artifact = self.wandb.Artifact(self.page_name, type="page")
        artifact.add_file(str(path))
        self.run.log_artifact(artifact)

    def close(self) -> None:
        """End the run, after all has been sent."""
        self.run.finish()
