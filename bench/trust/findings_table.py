"""What `check` prints of the battery: a line per model and dataset, and a line per finding."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import Examined, Finding, Verdict
from bench.trust.reported_number import Pair

VERDICTS: tuple[Verdict, ...] = ("fail", "warn", "remark", "pass", "skip")


def trust_lines(examined: Mapping[Pair, Examined]) -> Iterator[str]:
    """Yield per model and dataset the counts and the failures and warnings, then explanations."""
    seen: list[Finding] = []
    for (model, dataset), record in examined.items():
        not_done = f", {record.not_done} not done" if record.not_done else ""
        yield (
            f"{model} x {dataset} at {record.eps}, {record.attack}, "
            f"{'deep' if record.deep else 'cheap'}, {record.images} images: "
            f"{_counts(record.findings)}{not_done}"
        )
        bad = [found for found in record.findings if found.verdict in ("fail", "warn", "remark")]
        seen += bad
        for found in bad:
            yield f"  {found.verdict}  {found.check:<19} {found.evidence}"
    if seen:
        yield ""
        for check in dict.fromkeys(found.check for found in seen):
            yield f"{check}: {EXPLANATIONS[check].meaning} {EXPLANATIONS[check].remedy}"
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
