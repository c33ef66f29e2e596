"""A paragraph with a table for a model card, in Markdown: clean and worst case on each dataset."""

from collections.abc import Iterator, Sequence

from bench.compare.published_number import MEAN
from bench.core.errors import UserError
from bench.core.program import PROJECT
from bench.core.types import CLEAN
from bench.report.export.escape import markdown
from bench.results.protocol_summary import weights
from bench.share.shared_numbers import SharedNumber, SharedResults, file_names

_DOUBT = "†"


def files(shared: SharedResults) -> Iterator[tuple[str, str]]:
    """Yield a file per model.

    Raises:
        UserError: The suite has no number on clean images and no worst case.
    """
    if not shared.headline:
        raise UserError(
            f"--to model-card: suite {shared.suite.suite} has no number on clean images, nor a "
            "worst case under Linf attacks"
        )
    names = file_names(shared.models)
    for model in shared.models:
        numbers = [number for number in shared.headline if number.model == model]
        if numbers:
            yield f"{names[model]}.md", _card(shared, model, numbers)


def _card(shared: SharedResults, model: str, numbers: Sequence[SharedNumber]) -> str:
    columns = list(dict.fromkeys(map(_column, numbers)))
    places = {(number.dataset, _column(number)): number for number in numbers}
    rows = [name for name in (*(d.name for d in shared.suite.datasets), MEAN)
            if any(number.dataset == name for number in numbers)]  # fmt: skip
    scale = numbers[0].scale
    lines = [
        f"## {scale.title}, clean and under attack",
        "",
        f"{markdown(model)} ({markdown(weights(shared.suite, model))}), measured with {PROJECT} "
        f"on the suite {markdown(shared.suite.suite)}: {scale.name} {scale.range} with 95% "
        f"intervals. {' '.join(_about(columns, numbers))}",
        "",
        f"| dataset | {' | '.join(map(markdown, columns))} |",
        f"| :--- |{' ---: |' * len(columns)}",
    ]
    for name in rows:
        cells = [_cell(places.get((name, column))) for column in columns]
        lines.append(f"| {markdown(name)} | {' | '.join(cells)} |")
    notes = list(_notes(shared, numbers))
    return "\n".join([*lines, *(["", *notes] if notes else []), ""])


def _about(columns: Sequence[str], numbers: Sequence[SharedNumber]) -> Iterator[str]:
    """Yield a sentence per threat model: what the attacker does."""
    for column in columns:
        same = [number for number in numbers if _column(number) == column]
        sizes = sorted({number.n for number in same if number.dataset != MEAN})
        n = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else "".join(map(str, sizes))
        per_dataset = f"{n} samples per dataset"
        if same[0].attack == CLEAN:
            yield f"{CLEAN.capitalize()}: {per_dataset}."
        else:
            names = dict.fromkeys(a.label_in_norm for number in same for a in number.attacks)
            yield (
                f"{markdown(column)}: the lowest over the attacks {markdown(', '.join(names))} for "
                f"each sample; {per_dataset}."
            )


def _notes(shared: SharedResults, numbers: Sequence[SharedNumber]) -> Iterator[str]:
    doubts = sorted({doubt for number in numbers for doubt in number.doubts})
    if doubts:
        yield (
            f"{_DOUBT} Doubtful: checks of the number found that it may be too high "
            f"({markdown(', '.join(doubts))})."
        )
    others = sorted({flag for number in numbers for flag in number.flags} - {*doubts})
    if others:
        yield f"Flags: {markdown(', '.join(others))}."
    if deviation := shared.deviation(MEAN):
        yield f"Data: {markdown(deviation)}."


def _column(number: SharedNumber) -> str:
    return number.threat_name if number.attack == CLEAN else f"{number.threat_name}, {number.eps}"


def _cell(number: SharedNumber | None) -> str:
    if number is None:
        return "–"
    text, rate = number.scale.text, number.rate
    mark = f" {_DOUBT}" if number.doubts else ""
    return f"{text(rate.value)} ({text(rate.low)}–{text(rate.high)}){mark}"
