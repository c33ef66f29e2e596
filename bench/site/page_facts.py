"""What the pages of a model and of a dataset say beside their numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.core.shipped_files import shipped_suites
from bench.report.export.leaderboard_values import threat_name
from bench.report.export.links import links_of
from bench.report.export.protocol_details import flat
from bench.results.attack_summary import in_words
from bench.site.board_lines import scale_of_results
from bench.site.found_results import FoundResults
from bench.site.site_data import SiteData, page_of
from bench.suite.specs import AnyAttack

Pairs = list[tuple[str, str]]
_ATTACKS: TypeAdapter[AnyAttack] = TypeAdapter(AnyAttack)
_DATASET_FIELDS = (
    *("content", "content_origin", "classes", "class_names", "templates", "templates_hash"),
    *("image_ids", "images", "pixels", "prompt", "vqa_rule"),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """A model or a dataset in one set of results.

    Attributes:
        name: Name of the results.
        protocol: Their protocol in words.
        command: One line that computes the numbers again.
        suite_file: File of the site with the suite; empty if the results do not state it.
        links: Pages of a model's checkpoints and papers, as texts and addresses.
        pairs: Checkpoint of a model, or content of a dataset, as names and texts.
        attacks: Settings of the attacks, by their names.
        cells: Every number.
        failures: Cells without a number.
    """

    name: str
    protocol: str
    command: str
    suite_file: str
    links: Pairs
    pairs: Pairs
    attacks: dict[str, str]
    cells: list[dict[str, str]]
    failures: list[dict[str, str]]


def model_facts(site: SiteData, model: str) -> list[Facts]:
    """Return what is known of a model in each set of results that scores it."""
    return list(_facts(site, "model", model))


def dataset_facts(site: SiteData, dataset: str) -> list[Facts]:
    """Return what is known of a dataset in each set of results that has it."""
    return list(_facts(site, "dataset", dataset))


def checkpoints(facts: Sequence[Facts]) -> int:
    """Return for how many different weights a model's name stands."""
    return len({dict(each.pairs).get("hash") for each in facts if each.pairs})


def suite_file(found: FoundResults) -> str:
    """Return the file of the site with the suite of results; empty if they do not state it."""
    return page_of("suite", found.name).replace(".html", ".json") if found.suite else ""


def _facts(site: SiteData, column: str, name: str) -> Iterator[Facts]:
    for found, lines, protocol in zip(site.results, site.lines, site.protocols, strict=True):
        if any(getattr(line, column) == name for line in lines) or name in set(found.cells[column]):
            rows = found.cells[found.cells[column] == name].to_dict("records")
            entries = [entry for entry in found.entries.values() if entry.get(column) == name]
            yield Facts(
                found.name,
                protocol,
                _command(found),
                suite_file(found),
                _links(found, name) if column == "model" else [],
                _weights(entries) if column == "model" else _content(entries),
                _attacks(found, name) if column == "model" else {},
                [_cell(found, row) for row in rows if row["status"] == "ok"],
                [_cell(found, row) for row in rows if row["status"] != "ok"],
            )


def _command(found: FoundResults) -> str:
    """Return the command of `Facts`; empty if the suite is neither stated nor shipped."""
    name = suite_file(found) or (found.name if found.name in shipped_suites() else "")
    return f"radapt-bench run {name}" if name else ""


def _links(found: FoundResults, model: str) -> Pairs:
    suite = found.suite
    return links_of(suite, model) if suite is not None and model in suite.models else []


def _weights(entries: Sequence[Any]) -> Pairs:
    return list(flat(entries[0].get("weights", {}))) if entries else []


def _content(entries: Sequence[Any]) -> Pairs:
    """Return the fields of a dataset; clean images may be more than attacked ones."""
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        for key, text in flat({name: entry[name] for name in _DATASET_FIELDS if name in entry}):
            found.setdefault(key, {})[text] = None
    return [(key, " or ".join(texts)) for key, texts in found.items()]


def _attacks(found: FoundResults, model: str) -> dict[str, str]:
    """Return the settings of each attack on a model in words, by its name in the tables."""
    names = dict(zip(found.cells["cell_id"], found.cells["attack"], strict=True))
    texts: dict[str, dict[str, None]] = {}
    for cell_id, entry in found.entries.items():
        attack = entry.get("attack")
        if entry.get("model") == model and isinstance(attack, dict):
            name = str(names.get(cell_id, attack.get("kind", "")))
            texts.setdefault(name, {})[_in_words(attack, str(entry.get("eps", "")))] = None
    return {name: " or ".join(some) for name, some in texts.items()}


def _in_words(attack: Mapping[str, Any], eps: str) -> str:
    """Return an attack's settings; as they are, if this version does not know them."""
    shared = ("eps", "norm")  # members of an ensemble take these from it
    try:
        entry = {**attack, "eps": eps}
        if members := attack.get("attacks"):
            entry["attacks"] = [
                {key: value for key, value in member.items() if key not in shared}
                for member in members
            ]
        return in_words(_ATTACKS.validate_python(entry))
    except (ValidationError, AttributeError, TypeError):
        return ", ".join(f"{key} {text}" for key, text in flat(attack))


def _cell(found: FoundResults, row: dict[Any, Any]) -> dict[str, str]:
    scale = scale_of_results(found)
    keys = ("model", "dataset", "attack", "eps", "norm", "metric", "flags", "status", "reason")
    bounds = [row["value"], row["ci_low"], row["ci_high"]]
    return {
        **{key: str(row[key]) for key in (*keys, "cell_id")},
        "threat": threat_name(row["threat"], row["source"]),
        "kind": str(row["threat"]),
        "n": str(row["n"]),
        "rate": "{} [{}, {}]".format(*(scale.text(each) for each in bounds))
        if row["status"] == "ok"
        else "",
    }
