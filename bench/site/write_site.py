"""Writes the pages of a site: plain files that need no server and no network."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.core.terminal import legible
from bench.report.export.assets import script_json, scripts, styles, template
from bench.report.export.leaderboard_values import threat_name
from bench.site.found_results import FoundResults
from bench.site.page_facts import checkpoints, dataset_facts, model_facts, suite_file
from bench.site.site_data import SiteData, page_of, paired_data, shown_data, site_data
from bench.store.writing import write_text

_STYLES = ("base", "filters", "table", "details", "site")
_COMMON = ("dom", "rounding", "site_state", "flags", "flag_tips", "site_board")
# a static Space of the hub reads this head; other hosts show the file as a text
_README = """---
title: {title}
sdk: static
app_file: index.html
---

Open `index.html`. The pages need no server, so any static host can serve this folder.
"""


def write_site(results: Sequence[FoundResults], out: Path, title: str) -> int:
    """Write the site of results into a folder.

    Args:
        results: The results.
        out: The folder. Pages of a name that the results no longer have stay there.
        title: Title of the site.

    Returns:
        The number of files.

    Raises:
        UserError: A file cannot be written.
    """
    site = site_data(results)
    count = 0
    for name, text in _files(site, title):
        write_text(out / name, legible(text))
        count += 1
    return count


def _files(site: SiteData, title: str) -> Iterator[tuple[str, str]]:
    page = _page_writer(site, title)
    yield "index.html", page("index", "Leaderboard", shown_data(site, "index"))
    data = shown_data(site, "compare") | paired_data(site)
    yield "compare.html", page("compare", "Two models side by side", data)
    for model in site.models:
        facts = model_facts(site, model)
        data = shown_data(site, "model", model)
        yield (
            page_of("model", model),
            page("model", model, data, facts=facts, checkpoints=checkpoints(facts)),
        )
    for dataset in site.datasets:
        data = shown_data(site, "dataset", dataset)
        yield (
            page_of("dataset", dataset),
            page("dataset", dataset, data, facts=dataset_facts(site, dataset)),
        )
    for found in site.results:
        if found.suite is not None:
            yield suite_file(found), found.suite.as_json()
    yield "README.md", _README.format(title=json.dumps(title))


def _page_writer(site: SiteData, title: str) -> Callable[..., str]:
    def page(kind: str, heading: str, data: dict[str, Any], **more: Any) -> str:
        own = "site_compare" if kind == "compare" else "site_tables"
        return template("site.html.j2").render(
            kind=kind,
            heading=heading,
            title=title,
            site=site,
            threats=[threat_name(*threat) for threat in site.threats],
            protocols=list(dict.fromkeys(site.protocols)),
            page_of=page_of,
            style=styles(_STYLES),
            script=scripts((*_COMMON, own, "theme", "site_theme")),
            data=script_json(data),
            **more,
        )

    return page
