"""The leaderboard as Markdown and as LaTeX: a table per threat, the best of each column bold."""

from collections.abc import Callable, Iterator, Sequence

from bench.report.export.escape import latex, markdown
from bench.report.export.leaderboard_values import Column, Row, by_threat
from bench.results.leaderboard import ABOUT_RANKS
from bench.results.number_format import Scale, sample_noun, scale_of_suite, shown, surviving_samples
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of


def markdown_table(suite: Suite, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Return the leaderboard as a Markdown table per threat."""
    scale = scale_of_suite(suite)
    lines = [f"# {markdown(suite.suite)}", "", _about(suite, scale, markdown)]
    if any(row.rank is not None for row in rows):
        lines += ["", markdown(ABOUT_RANKS)]
    heads = ["rank", "model", *(column.key for column in columns), "n", "flags"]
    for name, members in by_threat(rows).items():
        lines += ["", f"## {markdown(name)}", f"| {' | '.join(map(markdown, heads))} |"]
        lines.append(f"| ---: | :--- |{' ---: |' * (len(columns) + 1)} :--- |")
        best = _best(columns, members, scale)
        for row in members:
            values = [_bold(_shown(row, c, scale), best[c.key], "**{}**", str) for c in columns]
            flags = " ".join(map(markdown, row.flags))
            cells = [str(row.rank or "–"), markdown(row.model), *values, str(row.n), flags]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def latex_table(suite: Suite, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    r"""Return the leaderboard as a LaTeX `table*` of the booktabs package, for `\input`."""
    scale, bold = scale_of_suite(suite), r"\textbf{{{}}}"
    spans = list(_spans(columns))
    width = len(columns) + 1
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage{textcomp}",
        r"\begin{table*}",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_about(suite, scale, latex)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{latex(name)}}}" for name, n in spans)])
        + r" \\",
        " & ".join(["model", *(latex(column.eps) for column in columns)]) + r" \\",
    ]
    for name, members in by_threat(rows).items():
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{latex(name)}}}}} \\"]
        best = _best(columns, members, scale)
        for row in members:
            values = [_bold(_shown(row, c, scale), best[c.key], bold, latex) for c in columns]
            marked = latex(row.model) + (r"\textsuperscript{\dag}" if row.flags else "")
            lines.append(" & ".join([marked, *values]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\dag\ {note}" for note in _flagged(rows)]
    return "\n".join([*lines, r"\end{table*}", ""])


def _about(suite: Suite, scale: Scale, escape: Callable[[str], str]) -> str:
    datasets = ", ".join(dataset.name for dataset in suite.datasets)
    worst = f"counts the {surviving_samples(suite)}"
    if any(metric.graded for dataset in suite.datasets for metric in metrics_of(dataset)):
        worst = f"averages the lowest score of each {sample_noun(suite)} under any attack"
    return (
        f"{escape(suite.suite)}: {scale.name} {scale.range}, mean over {escape(datasets)}; "
        f"worst {worst} at the largest budget."
    )


def _spans(columns: Sequence[Column]) -> Iterator[tuple[str, int]]:
    """Yield the names of the column groups with their numbers of columns."""
    names = [column.heading for column in columns]
    for name in dict.fromkeys(names):
        yield name, names.count(name)


def _shown(row: Row, column: Column, scale: Scale) -> str:
    rate = row.rates[column.key]
    return shown(rate.value if rate else None, scale)


def _best(columns: Sequence[Column], rows: Sequence[Row], scale: Scale) -> dict[str, str]:
    """Return the best number of each column as printed, so that numbers printed alike are bold."""
    found = {}
    for column in columns:
        printed = [_shown(row, column, scale) for row in rows if row.rates[column.key] is not None]
        found[column.key] = max(printed, key=float, default="")
    return found


def _bold(text: str, best: str, style: str, escape: Callable[[str], str]) -> str:
    return style.format(escape(text)) if text == best else escape(text)


def _flagged(rows: Sequence[Row]) -> Iterator[str]:
    flags = sorted({flag for row in rows for flag in row.flags})
    if flags:
        yield latex(f"flagged: {', '.join(flags)}; see the protocol")
