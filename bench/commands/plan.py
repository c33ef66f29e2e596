"""`plan`: shows what a run would compute and what it costs; does not import torch."""

import argparse
from collections.abc import Iterator

from bench.commands.arguments import add_suite
from bench.commands.open_suite import open_suite
from bench.core.resolved_names import Lock
from bench.plan.cells import Cell, expand
from bench.plan.cost.defence_lines import defence_lines
from bench.plan.cost.estimate import cost_lines
from bench.plan.cost.lvlm_estimate import memory_lines
from bench.plan.external_images import images_of_suite
from bench.plan.identity import still_valid
from bench.plan.judge_keys import judge_lines
from bench.plan.missing_files import download_line, fault_lines, find_faults
from bench.suite.load import Suite
from bench.suite.specs import EXTERNAL, ExternalImages
from bench.suite.specs.model_base import DefenceModel

_COLUMNS = ("cell", "model", "dataset", "attack", "eps", "threat", "source", "steps", "seed")


def plan_lines(suite: Suite, lock: Lock, gpu: str = "h100") -> Iterator[str]:
    """Yield the lines of the plan.

    Args:
        suite: The suite.
        lock: Lock of the last run. The cells of names that it lacks have preliminary ids, which
            the next run changes.
        gpu: The GPU whose time is estimated, one of `bench.plan.cost.estimate.GPUS`.
    """
    lock = still_valid(suite, lock)
    planned = expand(suite, lock)
    different = len({cell.id for cell in planned})
    yield f"suite {suite.suite}: {len(planned)} cells, {different} different"
    if suite.note:
        yield f"  note      {suite.note}"
    yield f"  models    {len(suite.models)}: {', '.join(suite.models)}"
    yield f"  datasets  {len(suite.datasets)}: {', '.join(d.name for d in suite.datasets)}"
    if suite.until:
        enough = "its interval is narrow enough" if suite.until.width else "the ranks are settled"
        yield f"  samples   at most {suite.most_samples:,}; a cell stops before if {enough}"
    for attack in suite.attacks:
        yield f"  attack    {attack.label_in_norm} at {', '.join(attack.eps)}"
    given = any(isinstance(attack, ExternalImages) for attack in suite.attacks)
    for threat in (*suite.threats, *([EXTERNAL] if given else [])):
        yield f"  threat    {f'transfer from {threat.source}' if threat.source else threat.kind}"
    for line in judge_lines(suite):
        yield f"  judge     {line}"
    yield from cost_lines(suite, lock, planned, gpu)
    if defended := sum(isinstance(spec, DefenceModel) for spec in suite.models.values()):
        yield f"  defences  {defended}; --defences lists their passes and memory"
    yield from memory_lines(suite)
    yield f"  download  {download_line(suite)}"
    for line in fault_lines(find_faults(suite, contents=False, torch=False)):
        yield f"  missing   {line}"
    sets = {dataset.name for dataset in suite.datasets}
    unknown = suite.models.keys() - lock.models.keys() or sets - lock.datasets.keys()
    here = [attack.path_for(dataset.name) for _, attack, dataset in images_of_suite(suite)]
    if unknown or set(here) - lock.images.keys():
        yield "  ids       preliminary: the first run adds hashes of weights and images to them"


def _row(cell: Cell) -> tuple[str, ...]:
    if cell.attack is None or cell.threat is None:
        return (cell.id, cell.target, cell.dataset, "clean", *"-----")
    threat = cell.threat
    settings = (threat.kind, threat.source or "-", str(cell.attack.gradients), str(cell.seed))
    return (cell.id, cell.target, cell.dataset, cell.attack.label_in_norm, cell.eps, *settings)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)
    parser.add_argument(
        "--cells", action="store_true", help="also list all cells, after the summary"
    )
    parser.add_argument(
        "--defences", action="store_true",
        help="also list the passes and memory of test-time defences, after the summary",
    )  # fmt: skip
    parser.add_argument(
        "--gpu", default="h100", help="the GPU whose time is estimated, e.g. a100; default: h100"
    )


def command(options: argparse.Namespace) -> int:
    """Print the plan."""
    suite, store = open_suite(options)
    lock = store.lock()
    for line in plan_lines(suite, lock, options.gpu):
        print(line)
    lock = still_valid(suite, lock)
    planned = expand(suite, lock) if options.defences or options.cells else []
    if options.defences:
        print("\n".join(["", *defence_lines(suite, lock, planned)]))
    if options.cells:
        from bench.run.console.terminal_table import print_table

        print()
        print_table(_COLUMNS, map(_row, planned))
    return 0
