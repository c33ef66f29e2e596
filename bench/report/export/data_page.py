"""The HTML page of a suite's datasets: one file that needs no network."""

from collections.abc import Sequence
from pathlib import Path

from bench.core.terminal import legible
from bench.report.data_overview import Overview
from bench.report.export.assets import scripts, styles, template
from bench.report.export.images_page import png
from bench.store.results_folder import Store
from bench.store.writing import write_text
from bench.suite.load import Suite

_STYLES = ("base", "table", "details", "images", "datasets")
_SCRIPTS = ("dom", "theme")


def write_data(suite: Suite, store: Store, overviews: Sequence[Overview]) -> Path:
    """Write the page of a suite's datasets, and return its path."""
    path = store.folder / "data.html"
    write_text(path, data_page(suite, overviews))
    return path


def data_page(suite: Suite, overviews: Sequence[Overview]) -> str:
    """Return the page: each dataset's classes, prompts and remarks, and some of its samples."""
    page = template("data.html.j2").render(
        suite=suite,
        overviews=overviews,
        style=styles(_STYLES),
        script=scripts(_SCRIPTS),
        png=png,
        pixels={each.name: str(suite.protocol.pixels_of(each.name)) for each in overviews},
    )
    return legible(page)  # a file's name may have characters that cannot be written as UTF-8
