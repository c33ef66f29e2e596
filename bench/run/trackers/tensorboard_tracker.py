"""Writes a run for TensorBoard, below the results of the suite."""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.run.trackers.tracker import Curve, settings_of
from bench.suite.load import Suite

# TensorBoard's steps are integers, so the step of a point of a curve is its radius in this unit
_UNIT = 1 / 25500
_TAG = ("dataset", "threat", "source", "attack", "norm", "eps", "metric")


class TensorBoard:
    """A folder `tensorboard/<time>` in the suite's results."""

    def __init__(self, suite: Suite, folder: Path) -> None:
        """Create the folder."""
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder / "tensorboard" / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        self.writer = SummaryWriter(str(self.folder))
        self.rows = 0
        self._text("suite", settings_of(suite))

    def row(self, row: Mapping[str, Any]) -> None:
        """Write the columns of a cell as text, and its number as a scalar of its model."""
        self.rows += 1
        self._text("cells", row)
        if "value" in row:
            tag = ", ".join(row[key] for key in _TAG if key in row)
            self.writer.add_scalar(f"{tag}/{row['model']}", row["value"], self.rows)
        self.writer.flush()

    def curve(self, curve: Curve) -> None:
        """Write a scalar per model and radius; a step is a hundredth of 1/255."""
        for model, points in curve.values.items():
            for radius, value in points:
                self.writer.add_scalar(f"{curve.title}/{model}", value, round(radius / _UNIT))

    def page(self, path: Path) -> None:
        """Copy the page beside the events, since TensorBoard keeps no files."""
        shutil.copyfile(path, self.folder / path.name)

    def close(self) -> None:
        """Close the event file."""
        self.writer.close()

    def _text(self, tag: str, values: Mapping[str, Any]) -> None:
        text = json.dumps(values, indent=1, default=str)
        self.writer.add_text(tag, f"```\n{text}\n```", self.rows)
