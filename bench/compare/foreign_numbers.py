"""Numbers in the files of RobustBench and CLIP_benchmark, as published numbers.

`bench.share.formats` writes the same files; keys that begin with `OURS` are in those only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.catalogue.clip_benchmark_names import catalogue_name
from bench.compare.published_number import UNNAMED, Published
from bench.core.types import CLEAN
from bench.suite.metrics import ACCURACY, METRICS

OURS = "radapt_bench_"  # no key of the formats' owners begins with it
MODEL, WEIGHTS, SAMPLES = f"{OURS}model", f"{OURS}weights", f"{OURS}n"
THREAT, SOURCE, FLAGS = f"{OURS}threat", f"{OURS}source_model", f"{OURS}flags"
DEVIATION = f"{OURS}deviation"
TOP_1 = "acc1"  # CLIP_benchmark's name of our accuracy; other metrics have the same names

# RobustBench's AutoAttack is the version `standard`
_STANDARD = "standard"
_QUICKGELU, _OPENAI = "-quickgelu", "openai"
_L2 = "L2"  # folder of models that are attacked in the l2 norm


def robustbench_numbers(entry: Mapping[str, Any], path: Path) -> Iterator[Published]:
    """Yield the clean and robust accuracies of a `model_info` file of RobustBench.

    RobustBench keeps them as percentages. `external` is the accuracy under an attack that is known
    to be stronger than AutoAttack, and that only the footnote describes.

    Args:
        entry: Content of the file.
        path: Its path: the model is called as the file, and the folder has the norm's name.
    """
    doubt = "RobustBench marks the robust accuracy as unreliable" if entry.get("unreliable") else ""
    notes = (_text(entry.get("name")), doubt, _text(entry.get("footnote")))
    clean = Published(
        _text(entry.get(MODEL)) or path.stem, _text(entry["dataset"]), CLEAN, "", ACCURACY,
        _text(entry["clean_acc"]), paper="RobustBench", samples=_text(entry.get(SAMPLES)),
        weights=_text(entry.get(WEIGHTS)), source=_text(entry.get("link")),
        deviation=_text(entry.get(DEVIATION)),
        note="; ".join(filter(None, notes)),
    )  # fmt: skip
    yield clean
    norm = "-l2" if path.parent.name == _L2 else ""
    robust = replace(clean, eps=_text(entry.get("eps")), threat="white-box", threat_basis="stated")
    if (value := _text(entry.get("autoattack_acc"))) and robust.eps:
        preset = "" if norm else _STANDARD
        yield replace(
            robust, attack=f"{_STANDARD}{norm}", preset_attack=preset, value_percent=value
        )
    if (value := _text(entry.get("external"))) and robust.eps:
        yield replace(robust, attack=f"{UNNAMED}{norm}", value_percent=value)


def clip_benchmark_numbers(record: Mapping[str, Any]) -> Iterator[Published]:
    """Yield the numbers of a row of CLIP_benchmark's CSV, or of its JSON with the metrics outside.

    CLIP_benchmark names weights, not models, and keeps fractions. Rows with the column `attack` are
    those that RobustVLM's copy of CLIP_benchmark writes. Metrics that we do not have are left out.
    """
    attack = _text(record.get("attack")) or CLEAN
    attacked = {"attack": attack, "eps": _text(record.get("eps"))}
    if attack in (CLEAN, "none"):
        attacked = {}
    base = Published(
        _text(record.get(MODEL)), catalogue_name(_text(record["dataset"])), CLEAN, "", "", "",
        paper="CLIP_benchmark", weights=_text(record.get(WEIGHTS)) or _weights(record),
        samples=_text(record.get(SAMPLES)), threat=_text(record.get(THREAT)),
        source_model=_text(record.get(SOURCE)), note=_text(record.get(FLAGS)),
        deviation=_text(record.get(DEVIATION)),
    )  # fmt: skip
    for metric in METRICS:
        key = TOP_1 if metric.name == ACCURACY else metric.name
        if value := _text(record.get(key)):
            yield replace(base, metric=metric.name, value_percent=_percent(value), **attacked)


def _weights(record: Mapping[str, Any]) -> str:
    """Return the weights in our words; OpenAI's have QuickGELU, which open_clip adds silently."""
    name, tag = _text(record["model"]), _text(record["pretrained"])
    if tag == _OPENAI:
        name = f"{name.removesuffix(_QUICKGELU)}{_QUICKGELU}"
    return f"{name} {tag}"


def _percent(fraction: str) -> str:
    """Return a fraction times 100 without rounding; a text that is no number as it is.

    It has at least six decimals, since the number of decimals says how far a number was rounded.
    """
    try:
        value = Decimal(fraction).scaleb(2)
    except ArithmeticError:
        return fraction
    decimals = value.as_tuple().exponent
    return format(value, f".{max(6, -decimals)}f") if isinstance(decimals, int) else fraction


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
