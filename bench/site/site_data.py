"""All results of a site as one table, and the part of it that a page shows."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from bench.core.errors import UserError
from bench.report.export.leaderboard_values import threat_name
from bench.report.export.links import model_links
from bench.report.export.protocol_details import flat, remarks
from bench.results.number_format import rounded
from bench.site.board_lines import Line, columns_of, datasets_of, lines_of, scale_of_results
from bench.site.found_results import Entries, FoundResults
from bench.site.model_pairs import PairedTests, all_tests, column_of, dataset_of
from bench.trust.explanations import EXPLANATIONS

NOT_STATED = "not stated"
_MEAN = -1  # the place of the mean over datasets
_CLEAN = -1  # the threat of tests without an attack


@dataclass(frozen=True)
class SiteData:
    """Results with the lines of their leaderboards, in the same order."""

    results: Sequence[FoundResults]
    lines: Sequence[Sequence[Line]]

    @cached_property
    def models(self) -> list[str]:
        """All models, in alphabetical order."""
        return sorted({line.model for lines in self.lines for line in lines}, key=str.lower)

    @cached_property
    def datasets(self) -> list[str]:
        """All datasets, in alphabetical order."""
        found = {name for each in self.results for name in datasets_of(each)}
        return sorted(found, key=str.lower)

    @cached_property
    def threats(self) -> list[tuple[str, str]]:
        """All threats with their sources, white-box first."""
        found = {(line.threat, line.source) for lines in self.lines for line in lines}
        return sorted(found, key=lambda threat: (threat[0] != "white-box", threat))

    @cached_property
    def protocols(self) -> list[str]:
        """The protocol of each results, in words."""
        return [protocol_of(each.entries) for each in self.results]

    @cached_property
    def columns(self) -> list[list[str]]:
        """The columns of each results."""
        return [columns_of(lines) for lines in self.lines]

    @cached_property
    def places(self) -> list[dict[str, Any]]:
        """What the scripts of a page know of each results."""
        return [
            {
                "name": found.name,
                "protocol": protocol,
                "task": " and ".join(dict.fromkeys(found.cells["task"])),
                "scale": asdict(scale_of_results(found)),
                "columns": columns,
                "datasets": len(datasets_of(found)) or _datasets_in_board(found),
                "per_image": found.open is not None,
            }
            for found, columns, protocol in zip(
                self.results, self.columns, self.protocols, strict=True
            )
        ]

    @cached_property
    def meanings(self) -> dict[str, str]:
        """What flags mean, by the word after `=`."""
        found = {check: " ".join(text) for check, text in EXPLANATIONS.items()}
        for each in self.results:
            found |= remarks(each.entries.values())
        return found


def site_data(results: Sequence[FoundResults]) -> SiteData:
    """Return results with their lines.

    Raises:
        UserError: A table or an entry of a manifest has a value of another type.
    """
    return SiteData(results, [_checked_lines(each) for each in results])


def _checked_lines(found: FoundResults) -> list[Line]:
    try:
        scale_of_results(found)
        remarks(found.entries.values())
        for entry in found.entries.values():
            dict(flat({"weights": entry["weights"], "attack": entry.get("attack", "")}))
        if found.suite is not None:
            model_links(found.suite)  # a suite that others wrote may name models that it lacks
        return lines_of(found)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{found.path}: its tables cannot be read ({error!r})") from error


def page_of(kind: str, name: str) -> str:
    """Return the file name of a page; different names have different files."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{kind}-{words}-{hashlib.sha256(name.encode()).hexdigest()[:6]}.html"


def protocol_of(entries: Entries) -> str:
    """Return the protocol of a manifest's entries in one line; `not stated` without entries."""
    if not entries:
        return NOT_STATED

    def stated(field: str) -> str:
        texts = dict.fromkeys(_text(entry.get(field, NOT_STATED)) for entry in entries.values())
        return " or ".join(texts)

    return (
        f"{stated('pixels')} pixels, resized in the model: {stated('resize_in_model')}, "
        f"prompts: {stated('templates')}"
    )


def _text(value: object) -> str:
    return " | ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def shown_data(site: SiteData, kind: str, of: str = "") -> dict[str, Any]:
    """Return the data of a page's scripts: models, datasets and threats are indices.

    Args:
        site: All results.
        kind: Kind of the page: `index`, `compare`, `model` or `dataset`.
        of: The model or dataset that a page of this kind shows.
    """
    chosen = [
        [line for line in lines if not of or getattr(line, kind) == of] for lines in site.lines
    ]
    used = {line.model for lines in chosen for line in lines}
    models = [name for name in site.models if name in used]
    return {
        "kind": kind,
        "models": [[name, page_of("model", name)] for name in models],
        "datasets": [[name, page_of("dataset", name)] for name in site.datasets],
        "threats": [{"name": threat_name(*threat), "kind": threat[0]} for threat in site.threats],
        "places": site.places,
        "lines": list(_lines(site, chosen, models)),
        "meanings": site.meanings,
    }


def _datasets_in_board(found: FoundResults) -> int:
    """Return over how many datasets the means of a leaderboard without cells are."""
    counts = [row.get("datasets", "") for row in found.board.to_dict("records")]
    return max((int(text) for text in counts if text.isdigit()), default=0)


def _lines(
    site: SiteData, chosen: Sequence[Sequence[Line]], models: Sequence[str]
) -> Iterator[list[Any]]:
    """Yield lines as `site_state.js` reads them."""
    of_model = {name: index for index, name in enumerate(models)}
    datasets = {"": _MEAN} | {name: index for index, name in enumerate(site.datasets)}
    threats = {threat: index for index, threat in enumerate(site.threats)}
    for place, lines in enumerate(chosen):
        columns = {name: index for index, name in enumerate(site.columns[place])}
        for line in lines:
            yield [
                place,
                threats[line.threat, line.source],
                of_model[line.model],
                datasets[line.dataset],
                line.rank,
                line.n,
                line.flags,
                {columns[name]: rate for name, rate in line.rates.items() if rate[0] is not None},
            ]


def paired_data(site: SiteData) -> dict[str, Any]:
    """Return the paired tests of all results, and the notes that they refer to.

    A test has the indices of its threat, column, dataset and note, the difference with its
    interval, and the corrected p-value. Between two suites, it has no numbers where these cannot be
    compared; its note says why. The column is that of the first suite.
    """
    tests: list[list[Any]] = []
    notes: dict[str, int] = {"": 0}
    for pair in all_tests(site.results, site.lines):
        models = [site.models.index(name) for name in (pair.first, pair.second)]
        tests.append([*pair.places, *models, list(_tests(site, pair, notes))])
    return {"tests": tests, "notes": list(notes)}


def _tests(site: SiteData, pair: PairedTests, notes: dict[str, int]) -> Iterator[list[Any]]:
    first, second = pair.places
    for item in pair.differences:
        label = item.label
        threat = (label.threat, label.source)
        column, dataset = column_of(label), dataset_of(site.results[first], label)
        numbers = (item.value, item.low, item.high, item.p_holm)
        known = all(column in site.columns[place] for place in (first, second))
        known = known and (not dataset or dataset in site.datasets)
        if not known or (label.threat and threat not in site.threats):
            continue  # the tables are older than the results
        why = "protocols differ" if numbers[0] is not None else "no test, since these differ"
        note = f"{why}: {label.differs}" if label.differs else ""
        yield [
            site.threats.index(threat) if label.threat else _CLEAN,
            site.columns[first].index(column),
            site.datasets.index(dataset) if dataset else _MEAN,
            notes.setdefault(note, len(notes)),
            *(None if number is None else rounded(number) for number in numbers),
        ]
