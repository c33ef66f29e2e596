"""`check`: finds numbers that should not be trusted or that differ from published numbers."""

import argparse

from bench.commands.arguments import add_device, add_suite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_suite(parser)
    add_device(parser)
    parser.add_argument(
        "--against", metavar="FILE",
        help="published numbers: a file or a shipped table (fare); default: the suite's `against`",
    )  # fmt: skip
    parser.add_argument(
        "--deep", action="store_true",
        help="check with more images, steps, restarts and queries; takes longer",
    )  # fmt: skip
    parser.add_argument(
        "--all", action="store_true",
        help="also print the evidence of each finding and every published number",
    )  # fmt: skip


def command(options: argparse.Namespace) -> int:
    """Run the trust battery on pairs that it has not examined; compare with published numbers."""
    from bench.commands.open_suite import open_suite
    from bench.compare.published_table import HEAD, check, check_lines, check_rows
    from bench.compare.verdicts import Comparison
    from bench.core.signals import stoppable
    from bench.report.export import export
    from bench.run.console.terminal_table import print_table
    from bench.store.snapshot import read_results
    from bench.store.writing import refusal
    from bench.trust.findings_table import summary_lines, trust_lines, unexamined_datasets
    from bench.trust.stored_findings import findings_and_todo

    suite, store = open_suite(options)
    results = read_results(suite, store)
    examined, todo = findings_and_todo(results, options.deep)
    # findings that cannot be stored are not worth the time; stored findings are still printed
    refused = refusal(store.folder / "trust" / "new findings") if todo else None
    if todo and refused is None:
        from bench.core.devices import pick_device  # imports torch
        from bench.evaluate.model_cache import ModelCache
        from bench.plan.resolve import resolve
        from bench.trust.examine import examine_pairs

        lock, problems = resolve(suite)
        cache = ModelCache(suite, lock, problems, pick_device(options.device), None, options.trust)
        with stoppable():
            try:
                for (model, dataset), why in examine_pairs(results, todo, cache, deep=options.deep):
                    print(f"{model} x {dataset}: {why or 'examined'}", flush=True)
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt(
                    "finished examinations are kept, run `check` again to continue"
                ) from stop
            finally:
                export(results)  # the tables now have the new flags
        examined, _ = findings_and_todo(results, options.deep)
    details = trust_lines(examined) if options.all else ()
    for line in (*unexamined_datasets(suite), *summary_lines(examined), *details):
        print(line)
    failed = any(found.verdict == "fail" for one in examined.values() for found in one.findings)
    if refused and options.against is None and suite.against is None:
        raise refused
    if examined and options.against is None and suite.against is None:
        print(f"suite {suite.suite}: names no published numbers; to compare, give --against FILE")
        return 1 if failed else 0

    def show(found: list[Comparison], absent: int) -> None:
        print("\n".join(check_lines(found, absent)))
        if some := [item for item in found if options.all or item.verdict == "differs"]:
            print()
            print_table(HEAD, check_rows(some))

    found, _ = check(results, options.against, examined, show)
    if refused:
        raise refused
    print(store.folder / "check.csv")
    return 1 if failed or any(item.verdict == "differs" for item in found) else 0
