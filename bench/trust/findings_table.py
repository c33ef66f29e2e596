"""What `check` prints of the battery: a summary, and on request a line per finding."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import FLAGS, Examined, Finding, Verdict
from bench.trust.reported_number import Pair

VERDICTS: tuple[Verdict, ...] = ("fail", "warn", "remark", "pass", "skip")
_NAMED = 3  # models and datasets that are named per check


def summary_lines(examined: Mapping[Pair, Examined]) -> Iterator[str]:
    """Yield the counts over all numbers, then each check that failed or warned, explained."""
    if not examined:
        return
    every = [found for record in examined.values() for found in record.findings]
    not_done = sum(record.not_done for record in examined.values())
    several = "" if len(examined) == 1 else "s"
    yield (
        f"{len(examined)} robust number{several} examined: {_counts(every)}"
        f"{f', {not_done} not done' if not_done else ''}"
    )
    where: dict[tuple[Verdict, str], list[str]] = {}
    for (model, dataset), record in examined.items():
        for found in record.findings:
            if found.verdict in FLAGS:
                where.setdefault((found.verdict, found.check), []).append(f"{model} x {dataset}")
    for verdict in FLAGS:
        for (given, check), pairs in where.items():
            if given == verdict:
                more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
                yield f"  {verdict}  {check:<19} {', '.join(pairs[:_NAMED])}{more}"
    for check in dict.fromkeys(check for _, check in where):
        yield f"{check}: {EXPLANATIONS[check].meaning} {EXPLANATIONS[check].remedy}"
    yield ""


def trust_lines(examined: Mapping[Pair, Examined]) -> Iterator[str]:
    """Yield per model and dataset the counts, and the evidence of what did not pass."""
    for (model, dataset), record in examined.items():
        not_done = f", {record.not_done} not done" if record.not_done else ""
        yield (
            f"{model} x {dataset} at {record.eps}, {record.attack}, "
            f"{'deep' if record.deep else 'cheap'}, {record.images} images: "
            f"{_counts(record.findings)}{not_done}"
        )
        bad = [found for found in record.findings if found.verdict in ("fail", "warn", "remark")]
        for found in bad:
            yield f"  {found.verdict}  {found.check:<19} {found.evidence}"
    if examined:
        yield ""


def unexamined_datasets(suite: Suite) -> Iterator[str]:
    """Yield a line for each dataset whose metric the battery cannot examine."""
    for dataset in suite.datasets:
        metrics = metrics_of(dataset)
        if not any(metric.top_logit for metric in metrics):
            yield (
                f"{dataset.name}: not examined, because the checks use only which logit is highest "
                f"and {metrics[0].name} depends on more"
            )


def _counts(findings: Sequence[Finding]) -> str:
    counts = Counter(found.verdict for found in findings)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
