"""Measure clean and robust accuracy of vision-language models.

python run_bench.py suites/quickstart.yaml          run a suite; go on where it stopped
python run_bench.py plan suites/zero_shot.yaml      what a run would compute
python run_bench.py status suites/quickstart.yaml   what is done, and what a run does now
python run_bench.py export suites/quickstart.yaml   write the tables again
python run_bench.py images suites/quickstart.yaml --cell ID  look at images of a cell
python run_bench.py merge suites/fare.yaml THEIRS   add another's results, a folder or a bundle
python run_bench.py check suites/zero_shot.yaml     what not to believe; published numbers
python run_bench.py compare suites/quickstart.yaml --baseline FARE  what is really better
python run_bench.py fetch suites/zero_shot.yaml     bring models and data ahead of time
python run_bench.py doctor suites/zero_shot.yaml    what is missing here, and what to do
python run_bench.py list                            what a suite may name
"""

import argparse
import os
import sys
import traceback
from pathlib import Path

from bench.core.errors import UserError
from bench.core.terminal import legible_output

COMMANDS = (
    *("run", "plan", "status", "export", "images", "merge"),
    *("check", "compare", "fetch", "doctor", "list"),
)


def main(arguments: list[str]) -> int:
    """Run a command and return the exit code: 0, 1 if a cell failed, 2 if the call is wrong."""
    with legible_output():
        return _main(arguments)


def _main(arguments: list[str]) -> int:
    if arguments and arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments = ["run", *arguments]
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        what = str(stop) or "finished cells are kept, run again to go on"
        print(f"stopped; {what}", file=sys.stderr)
        return 130
    except Exception:  # a fault of ours; its message may quote a suite or a file, too
        print(traceback.format_exc(), end="", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_bench.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, about in (
        ("run", _run, "compute what is missing and write the tables"),
        ("plan", _plan, "say what a run would compute, without computing"),
        ("status", _status, "say what is done, and what a run is doing now"),
        ("export", _export, "write the tables from what is stored"),
        ("images", _images, "write a page of clean and adversarial images of a cell"),
        ("merge", _merge, "add another's results of the suite; 1 if some differ from ours"),
        ("check", _check, "say which numbers not to believe, and which differ from published ones"),
        ("compare", _compare, "set results against a model, other results or published numbers"),
        ("fetch", _fetch, "bring models and data ahead of time; runs then need no network"),
        ("doctor", _doctor, "say what is missing here, and what to do about it"),
    ):
        command = commands.add_parser(name, help=about)
        command.set_defaults(command=function)
        optional = {"nargs": "?"} if name == "doctor" else {}
        command.add_argument("suite", help="a suite, e.g. suites/quickstart.yaml", **optional)
        command.add_argument("--results", default="results", help="folder of all results")
    commands.choices["plan"].add_argument(
        "--gpu", default="h100", help="whose time is estimated, e.g. a100; default: h100"
    )
    published = "published numbers, e.g. results/published/fare.csv; default: the suite's own"
    checked = commands.choices["check"]
    checked.add_argument("--against", metavar="FILE", help=published)
    checked.add_argument(
        "--deep", action="store_true", help="more images, steps, restarts and queries"
    )
    compared = commands.choices["compare"]
    sides = compared.add_mutually_exclusive_group(required=True)
    sides.add_argument("--baseline", metavar="MODEL", help="one of the suite's models")
    sides.add_argument(
        "--with", dest="folder", metavar="FOLDER", help="other results, e.g. old/quickstart"
    )
    sides.add_argument("--against", metavar="FILE", help="e.g. results/published/fare.csv")
    compared.add_argument(
        "--force", action="store_true", help="compare what protocols differ of too, and mark it"
    )
    run = commands.choices["run"]
    images = commands.choices["images"]
    for command in (run, checked, images):
        command.add_argument(
            "--device", help="e.g. cpu, cuda:1; default: the accelerator if there is one"
        )
        command.add_argument(
            "--trust", action="store_true", help="import code that the suite names"
        )
    images.add_argument(
        "--cell", required=True, metavar="ID", help="a cell_id of cells.csv, or how it alone begins"
    )
    images.add_argument("--count", type=_positive, default=12, help="images at most; default: 12")
    run.add_argument(
        "--no-check", action="store_true", help="leave examining the numbers to `check`"
    )
    run.add_argument("--batch", type=_positive, help="images at once; default: found by trial")
    run.add_argument(
        "--compile", action="store_true", help="compile towers for full batches; for long runs"
    )
    run.add_argument(
        "--limit", type=_seconds, help="time that a cell may take, e.g. 90s, 30m, 2h; default: any"
    )
    run.add_argument(
        "--executor", choices=("inline", "ray"), default="inline",
        help="where cells run: in this process, or in workers under Ray; default: inline",
    )  # fmt: skip
    run.add_argument("--address", help="of a Ray cluster, e.g. auto; default: one of its own")
    run.add_argument(
        "--workers", type=_positive, help="workers at most; default: one per accelerator"
    )
    export = commands.choices["export"]
    export.add_argument("--parquet", action="store_true", help="write cells.parquet too")
    export.add_argument(
        "--figures", action="store_true", help="draw figures as PNG, SVG and PDF, with their tables"
    )
    export.add_argument("--bundle", metavar="FILE", help="pack all results into a zip for others")
    commands.choices["merge"].add_argument(
        "other", help="a bundle, or a folder of results: the suite's, or that of all"
    )
    listing = commands.add_parser("list", help="say what a suite may name")
    listing.set_defaults(command=_list)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; a positive number is needed")
    return int(text)


def _seconds(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; a time is needed, e.g. 90s, 30m, 2h")
    return int(number) * units[unit]


def _run(options: argparse.Namespace) -> int:
    from bench.plan.resolve import remarks
    from bench.results.number_format import scale_of_suite
    from bench.run.console import Progression, print_leaderboard
    from bench.run.suite_run import run_suite
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    watcher = Progression()
    try:
        report = run_suite(
            suite, results=options.results, device=options.device, batch=options.batch,
            trust=options.trust, compiled=options.compile, limit=options.limit,
            executor=options.executor, address=options.address, workers=options.workers,
            check=not options.no_check, watcher=watcher,
        )  # fmt: skip
    finally:
        watcher.close()
    print_leaderboard(report.board, suite.suite, scale_of_suite(suite))
    for line in remarks(suite, Store(Path(options.results), suite.suite).lock()):
        print(line)
    print(f"{report.cells} cells, {report.computed} computed now, {report.failed} failed")
    if report.unexamined:
        print(report.unexamined)
    for name in ("cells.csv", "leaderboard.csv", "leaderboard.html"):
        print(report.folder / name)
    return 1 if report.failed else 0


def _plan(options: argparse.Namespace) -> int:
    from bench.commands.plan import plan_lines
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    print(
        "\n".join(plan_lines(suite, Store(Path(options.results), suite.suite).lock(), options.gpu))
    )
    return 0


def _status(options: argparse.Namespace) -> int:
    from bench.commands.status import status_lines
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    print("\n".join(status_lines(suite, Store(Path(options.results), suite.suite))))
    return 0


def _export(options: argparse.Namespace) -> int:
    from bench.report.export import export
    from bench.results.number_format import scale_of_suite
    from bench.run.console import print_leaderboard
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    store = Store(Path(options.results), suite.suite)
    if options.bundle:
        from bench.share.bundle import check_place, write_bundle

        check_place(Path(options.bundle))
    board = export(suite, store, parquet=options.parquet, figures=options.figures)
    print_leaderboard(board, suite.suite, scale_of_suite(suite))
    print(store.folder)
    if options.bundle:
        write_bundle(suite, store, Path(options.bundle))
        print(options.bundle)
    return 0


def _images(options: argparse.Namespace) -> int:
    from bench.report.export.images_page import write_images
    from bench.report.image_viewer.select import find_cell
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    store = Store(Path(options.results), suite.suite)
    cell, result = find_cell(suite, store, options.cell)

    from bench.core.devices import pick_device  # brings torch, which a wrong call need not wait for
    from bench.report.image_viewer.render import look

    device = pick_device(options.device)
    shown = look(suite, store, cell, result, options.count, device, options.trust)
    print(write_images(suite, store, shown))
    return 0


def _merge(options: argparse.Namespace) -> int:
    from bench.report.export import export
    from bench.share.merging import merge, merge_lines
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    store = Store(Path(options.results), suite.suite)
    merged = merge(suite, store, Path(options.other))
    export(suite, store)
    print("\n".join(merge_lines(merged)))
    print(store.folder)
    return 1 if merged.conflicts else 0


def _fetch(options: argparse.Namespace) -> int:
    from bench.commands.download_board import Downloads
    from bench.commands.downloads import fetch
    from bench.plan.resolve import remarks
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    watcher = Downloads()
    try:
        lock, problems = fetch(suite, watcher)
    finally:
        watcher.close()
    Store(Path(options.results), suite.suite).put_lock(lock)
    for line in remarks(suite, lock):
        print(line)
    for key, reason in problems.items():
        print(f"{key}: {reason}", file=sys.stderr)
    if problems:
        return 1
    print("all is here; HF_HUB_OFFLINE=1 keeps a run from asking the hub")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from bench.commands.machine import examine
    from bench.suite.load import load_suite

    suite = load_suite(options.suite) if options.suite else None
    bad = 0
    for finding in examine(suite, Path(options.results)):
        bad += finding.level == "bad"
        print(f"{finding.level:<5} {finding.what}", flush=True)
        if finding.advice:
            print(f"      -> {finding.advice}")
    print(f"{bad} things to do" if bad else "ready")
    return 1 if bad else 0


def _check(options: argparse.Namespace) -> int:
    from bench.compare.published_table import check, check_lines
    from bench.core.signals import stoppable
    from bench.report.export import export
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite
    from bench.trust.findings_table import left_out, trust_lines
    from bench.trust.stored_findings import judged

    suite = load_suite(options.suite)
    store = Store(Path(options.results), suite.suite)
    examined, todo = judged(suite, store, options.deep)
    if todo:
        from bench.core.devices import pick_device  # brings torch
        from bench.evaluate.model_cache import Warm
        from bench.plan.resolve import resolve
        from bench.trust.examine import examine_pairs

        lock, problems = resolve(suite)
        warm = Warm(suite, lock, problems, pick_device(options.device), None, options.trust)
        with stoppable():
            try:
                for (model, dataset), why in examine_pairs(store, todo, warm, deep=options.deep):
                    print(f"{model} x {dataset}: {why or 'examined'}", flush=True)
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt(
                    "what was examined is kept, `check` again to go on"
                ) from stop
            finally:
                export(suite, store)  # with the flags of what was found
        examined, _ = judged(suite, store, options.deep)
    for line in (*left_out(suite), *trust_lines(examined)):
        print(line)
    failed = any(found.verdict == "fail" for one in examined.values() for found in one.findings)
    if examined and options.against is None and suite.against is None:
        print(f"suite {suite.suite}: names no published numbers to compare with")
        return 1 if failed else 0
    found, absent = check(suite, store, options.against)
    print("\n".join(check_lines(found, absent)))
    print(store.folder / "check.csv")
    return 1 if failed or any(item.verdict == "differs" for item in found) else 0


def _compare(options: argparse.Namespace) -> int:
    from bench.compare.paired import with_baseline, with_published, with_results
    from bench.compare.paired_table import comparison_lines, write_comparison
    from bench.store.results_folder import Store
    from bench.suite.load import load_suite

    suite = load_suite(options.suite)
    store = Store(Path(options.results), suite.suite)
    if options.baseline is not None:
        found = with_baseline(suite, store, options.baseline, options.force)
    elif options.folder is not None:
        found = with_results(suite, store, Path(options.folder), options.force)
    else:
        found = with_published(suite, store, options.against, options.force)
    write_comparison(store, found)
    print("\n".join(comparison_lines(found)))
    print(store.folder / "compare.csv")
    return 0


def _list(options: argparse.Namespace) -> int:
    from bench.commands.plan import list_lines

    print("\n".join(list_lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
