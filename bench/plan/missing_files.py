"""Finds what a suite lacks on this machine, without network: for `run`, `plan`, `fetch`, `doctor`.

Each fault belongs to one entry of the suite: a model that is made of others has only its own.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from bench import catalogue
from bench.catalogue.weight_sources import (
    OpenClipFile,
    OpenClipTag,
    RepositoryFiles,
    WeightSource,
)
from bench.core.errors import MALFORMED, CellError, NoSuchPath
from bench.core.program import PROGRAM, PROJECT
from bench.core.resolved_names import DatasetLock
from bench.data import index_dataset
from bench.data.source_kinds import source_of
from bench.hub.files import NoSuchFile
from bench.hub.weights import weight_faults
from bench.plan.external_images import ReadIndex, image_faults
from bench.plan.judge_keys import key_fault
from bench.plan.resolve import judge_weights
from bench.suite.load import Suite
from bench.suite.specs import (
    DatasetSpec,
    ModelSpec,
    OpenAIJudge,
    TransformersJudge,
    members_of,
)
from radapt.optional_packages import install_advice

JUDGE, JUDGE_KEY = "protocol.judge", "protocol.judge.key"
_TRANSFORMERS, _TORCHATTACKS = "transformers", "torchattacks"
_FETCH = f"download these with `{PROGRAM} fetch SUITE`"
_CREATE = (
    "correct the path, or create the file: anchors with `python -m radapt fit`, towers with "
    "`python -m radapt finetune`"
)
_CORRECT = "correct the suite's entry, or the file that the message names"
_SHOWN = 12  # names in a line at most


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an entry of a suite cannot be computed on this machine.

    Attributes:
        key: Key path of the entry, such as `models.CLIP`.
        reason: What is missing or wrong.
        advice: What to do; equal for all faults of a kind.
        download: Whether `fetch` may download what is missing.
        package: Whether a Python package is missing.
    """

    key: str
    reason: str
    advice: str
    download: bool = False
    package: bool = False


def find_faults(
    suite: Suite, *, contents: bool = True, torch: bool = True, trust: bool = False
) -> list[Fault]:
    """Return the faults of a suite's datasets, models, given images, packages and judge.

    Args:
        suite: The suite.
        contents: Whether the samples of the user's own datasets are listed, as a run does first.
        torch: Whether weights are checked that need open_clip or transformers: it imports torch.
        trust: Whether the judge may have a key that the user has not listed.
    """

    @cache  # each dataset is read once, also if several attacks have images of it
    def index(name: str) -> DatasetLock:
        return index_dataset(suite.dataset(name), suite.most_samples, suite.seed)

    return [
        *(
            fault
            for dataset in suite.datasets
            for fault in _of_dataset(suite, dataset, index if contents else None)
        ),
        *(fault for name, spec in suite.models.items() for fault in _of_model(name, spec, torch)),
        *(
            Fault(key, reason, _CORRECT)
            for key, reason in image_faults(suite, index if contents and torch else None)
        ),
        *_of_packages(suite),
        *_of_judge(suite, torch, trust),
    ]


def fault_lines(faults: Sequence[Fault]) -> Iterator[str]:
    """Yield lines that tell each reason and each advice once.

    What `fetch` downloads is only named: `doctor` has the details.
    """
    for advice in dict.fromkeys(fault.advice for fault in faults):
        group = [fault for fault in faults if fault.advice == advice]
        here = [fault for fault in group if not fault.download]
        if absent := [fault.key for fault in group if fault.download]:
            yield f"not on this machine: {_names(absent)}"
        for reason in dict.fromkeys(fault.reason for fault in here):
            yield f"{_names([each.key for each in here if each.reason == reason])}: {reason}"
        if advice:
            yield f"  -> {advice}"


def refusal(faults: Sequence[Fault]) -> str:
    """Return the message of a run that computes nothing, because it would fail at some entries."""
    count = len({fault.key for fault in faults})
    entries = "1 entry" if count == 1 else f"{count} entries"
    lines = (f"  {line}" for line in fault_lines(faults))
    end = "nothing was computed; --go-on computes the cells that need none of these"
    return "\n".join([f"{entries} of the suite cannot be used here", *lines, end])


def libraries(suite: Suite) -> dict[str, list[str]]:
    """Return the packages that not every run needs, with the key paths that need them."""
    found: dict[str, list[str]] = {}
    for number, attack in enumerate(suite.attacks):
        if any(member.kind == _TORCHATTACKS for member in members_of(attack)):
            found.setdefault(_TORCHATTACKS, []).append(f"attacks.{number}")
    for name, model in suite.models.items():
        for library in model.libraries:
            found.setdefault(library, []).append(f"models.{name}")
    if isinstance(suite.protocol.judge, TransformersJudge) and suite.uses_judge:
        found.setdefault(_TRANSFORMERS, []).append(JUDGE)
    return found


def download_line(suite: Suite) -> str:
    """Return a line with the size of the datasets that are not yet downloaded."""
    sources = {dataset.name: source_of(dataset) for dataset in suite.datasets}
    sizes = {
        name: facts.megabytes if (facts := catalogue.datasets().get(name)) else None
        for name, source in sources.items()
        if source.download_folder is not None and source.missing(suite.seed)
    }
    if not sizes:
        return "no data"
    known = sum(size for size in sizes.values() if size)
    unknown = sum(1 for size in sizes.values() if size is None)
    rest = f", and {unknown} of unknown size" if unknown else ""
    return f"{len(sizes)} datasets, about {known / 1000:.1f} GB{rest}; `fetch` shows the exact size"


def _of_dataset(suite: Suite, dataset: DatasetSpec, index: ReadIndex | None) -> Iterator[Fault]:
    key, source = f"datasets.{dataset.name}", source_of(dataset)
    download = source.download_folder is not None
    if reason := source.missing(suite.seed):
        yield Fault(key, reason, _FETCH if download else _CREATE, download)
    elif index is not None and not download:
        try:
            index(dataset.name)
        except CellError as error:
            yield Fault(key, str(error), _CORRECT)
        except Exception as error:  # readers raise many kinds, and a run fails with each
            yield Fault(key, f"{type(error).__name__}: {error}", _CORRECT)


def _of_model(name: str, spec: ModelSpec, torch: bool) -> Iterator[Fault]:
    key = f"models.{name}"
    try:
        spec.check_code()
        yield from _of_weights(key, spec.weight_sources(), torch)
    except MALFORMED as error:
        yield _of_error(key, error)


def _of_weights(key: str, sources: Iterable[WeightSource], torch: bool) -> Iterator[Fault]:
    checked = (source for source in sources if torch or not _is_in_table(source))
    yield from (_of_error(key, error) for error in weight_faults(checked))


def _is_in_table(source: WeightSource) -> bool:
    """Return whether a table of open_clip or transformers describes a source; they import torch."""
    if isinstance(source, RepositoryFiles):
        return bool(source.layout.auto_table)
    return isinstance(source, OpenClipTag | OpenClipFile)


def _of_error(key: str, error: Exception) -> Fault:
    reason = str(error) or type(error).__name__
    match error:
        case NoSuchFile():
            return Fault(key, reason, _FETCH, download=True)
        case NoSuchPath():
            return Fault(key, reason, _CREATE)
        case ImportError():
            return Fault(key, reason, f"install the project's packages: pip install {PROJECT}")
        case _:
            return Fault(key, reason, _CORRECT)


def _of_packages(suite: Suite) -> Iterator[Fault]:
    for name, keys in libraries(suite).items():
        try:
            version(name)
        except PackageNotFoundError:
            reason, advice = f"the package {name} is missing", install_advice(name)
            yield from (Fault(key, reason, advice, package=True) for key in keys)


def _of_judge(suite: Suite, torch: bool, trust: bool) -> Iterator[Fault]:
    judge = suite.protocol.judge
    if not suite.uses_judge:
        return
    if isinstance(judge, TransformersJudge):
        try:
            judge_weights(judge)
        except CellError as error:
            advice = "correct the name, or give the commit as `revision`"
            yield Fault(JUDGE, str(error), advice)
        else:
            yield from _of_weights(JUDGE, judge.weight_sources(), torch)
    if isinstance(judge, OpenAIJudge) and judge.key is not None:
        if not trust and (refused := key_fault(judge)):
            yield Fault(JUDGE_KEY, *refused)
        if not os.environ.get(judge.key):
            advice = f"export {judge.key}=... before a run"
            yield Fault(JUDGE_KEY, f"{judge.key} is not set", advice)


def _names(keys: Sequence[str]) -> str:
    """Return key paths, with the names of a section together: `models: A, B; datasets: c`."""
    sections: dict[str, list[str]] = {}
    for key in dict.fromkeys(keys):
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(name)
    parts = []
    for section, names in sections.items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        one = len(names) == 1
        parts.append(f"{section}{'.' if one else ': '}{', '.join(names[:_SHOWN])}{more}")
    return "; ".join(parts)
