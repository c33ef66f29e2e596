"""Finds what a run would fail at, before it computes or downloads anything."""

from collections.abc import Iterator
from dataclasses import replace

from bench.commands.downloads import needed_files
from bench.hub.files import unreachable
from bench.plan.missing_files import Fault, find_faults
from bench.suite.load import Suite

_OFFLINE = (
    "run `fetch` on a machine with network and copy the hub's cache, or set HTTPS_PROXY to a proxy "
    "or HF_ENDPOINT to a mirror"
)


def faults_before_run(suite: Suite) -> list[Fault]:
    """Return what a run of a suite would fail at, as far as it is known before.

    The hub is asked only for files that are missing here. If none is, the samples of the user's
    own datasets are not listed: a run begins with that.
    """
    faults = find_faults(suite, contents=False, trust=True)
    if any(fault.download for fault in faults):
        faults = find_faults(suite, trust=True)
    here = [fault for fault in faults if not fault.download]
    return [*here, *_not_downloadable(suite, faults)]


def _not_downloadable(suite: Suite, faults: list[Fault]) -> Iterator[Fault]:
    """Yield the faults of files that are not on this machine and that the hub does not give."""
    absent = [fault for fault in faults if fault.download]
    if absent and (reason := unreachable()):
        yield from (replace(fault, advice=f"{reason}; {_OFFLINE}") for fault in absent)
    elif absent:
        problems = needed_files(suite, {fault.key for fault in absent}).problems
        yield from (
            Fault(key, reason, "") for key, reason in problems.items()
        )  # they say what to do
