"""What each attack, metric and task comes to on tiny models, by which its version is checked.

    python -m tests.pinned.outcomes     computes it again, says what moved, and writes outcomes.json

A new outcome is kept only where a version was raised that it depends on; otherwise the command
says which version to raise, and leaves the file as it is. Where the example itself was changed
(`outcomes.yaml`, `tiny_models.py`, or this file) no version is raised: delete the entries that it
moves from outcomes.json, run the command, and say so in the commit.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import torch
import yaml
from torch import Tensor

from bench.core.language_types import Question
from bench.models.zero_shot import ZeroShotClassifier, text_vectors, zero_shot_head
from bench.plan.versions import versions_of
from bench.suite.load import Suite
from bench.suite.metrics import ACCURACY, CHOICE, CIDER, METRICS, TASKS, VQA_ACCURACY, metric_of
from bench.suite.specs import AnyAttack, ApgdTextTargeted
from bench.tasks.answer_judges import match
from bench.tasks.answer_scores import build_scorer
from bench.tasks.answer_targets import references, targets_reached
from bench.tasks.prompted_models import PromptedModel
from bench.tasks.retrieval import Retrieval, RetrievalClassifier
from tests.pinned.changes import moved_values
from tests.pinned.settings import choices_within
from tests.pinned.tiny_models import WORDS, TinyClip, TinySpeaker, known
from tests.pinned.values import values

FOLDER = Path(__file__).parent
FILE = FOLDER / "outcomes.json"
CLOSE = 1e-4  # of numbers of about 1: the models are tiny, and rounding adds up to less
COMMAND = "python -m tests.pinned.outcomes"
_KEPT = ("reason", "correct", "distance", "pixels", "scores", "texts", "reached")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Outcome:
    """What something comes to.

    Attributes:
        version: Its version.
        found: By case and quantity, in the form of `tests.pinned.values`.
        by: What else takes part in it, with the versions of that.
    """

    version: int
    found: dict[str, dict[str, Any]]
    by: dict[str, int]


def outcomes() -> dict[str, Outcome]:
    """Return the outcome of each task, metric and attack, by kind and name: `attack pgd`."""
    clean: dict[str, dict[str, Any]] = {}
    attacks = dict(_attacks(clean))
    tasks = {f"task {name}": Outcome(TASKS[name].version, found, {}) for name, found in _tasks()}
    metrics = {
        f"metric {metric.name}": Outcome(metric.version, _metric(metric.name, clean), {})
        for metric in METRICS
    }
    return {**tasks, **metrics, **attacks}


def attack_kinds() -> dict[str, type[Any]]:
    """Return the spec class of each kind of attack."""
    union = get_args(get_args(AnyAttack)[0])
    return {next(choices_within(spec.model_fields["kind"].annotation)): spec for spec in union}


def constant(name: str) -> str:
    """Return where the version of something is in the code."""
    what, _, kind = name.partition(" ")
    if what == "attack":
        spec = attack_kinds()[kind]
        return f"`version` of {spec.__name__} in {spec.__module__.replace('.', '/')}.py"
    return f"`version` of the {what} {kind} in bench/suite/metrics.py"


def faults(then: Mapping[str, Any], now: Mapping[str, Outcome]) -> list[str]:
    """Return what is wrong between what is pinned and what is found, a line each."""
    return [*_moved(then, now), *_to_pin(then, now)]


def _moved(then: Mapping[str, Any], now: Mapping[str, Outcome]) -> Iterator[str]:
    """Yield a line for each outcome that moved although no version says so."""
    moved: dict[str, list[str]] = {}
    for name, outcome in now.items():
        old = then.get(name)
        if old is None or _versions(old) != _versions(asdict(outcome)):
            continue
        if lines := moved_values(old["found"], outcome.found, CLOSE):
            moved[name] = lines
    for name, lines in moved.items():
        if not moved.keys() & now[name].by.keys():  # it moved by itself
            yield (
                f"{name}: its outcome moved under version {now[name].version}: if that was meant, "
                f"raise {constant(name)} and run `{COMMAND}`\n  " + "\n  ".join(lines[:6])
            )


def _to_pin(then: Mapping[str, Any], now: Mapping[str, Outcome]) -> Iterator[str]:
    """Yield a line for each outcome that is not pinned at its present version."""
    for name in {**then, **now}:
        if name not in now:
            yield f"{name}: is pinned and is gone: run `{COMMAND}`"
        elif name not in then:
            yield f"{name}: its outcome is not pinned: run `{COMMAND}`"
        elif _versions(then[name]) != _versions(asdict(now[name])):
            yield f"{name}: is pinned at other versions: run `{COMMAND}`"


def _versions(outcome: Mapping[str, Any]) -> tuple[Any, Any]:
    return outcome["version"], outcome["by"]


def _attacks(clean: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Outcome]]:
    """Yield each attack's outcome; rows without one are put into `clean`, by metric."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    by: dict[str, dict[str, int]] = {}
    for raw in yaml.safe_load((FOLDER / "outcomes.yaml").read_text("utf-8")):
        suite = Suite.model_validate(raw)
        kinds = {attack.label: attack.kind for attack in suite.attacks}
        for row, said in values(raw).items():
            kept = {key: said[key] for key in _KEPT if key in said}
            kind = next((kinds[word] for word in row.split() if word in kinds), None)
            if kind is None:
                clean[row.split()[2]] = kept
                continue
            found.setdefault(kind, {})[f"{suite.suite}: {row}"] = kept
            alone = tuple(attack for attack in suite.attacks if attack.kind == kind)
            uses = versions_of(suite.model_copy(update={"attacks": alone}))
            by.setdefault(kind, {}).update(uses)
    for kind, spec in attack_kinds().items():
        rows = found.get(kind, {})
        if spec is ApgdTextTargeted and rows:
            rows["said"] = {"reached": _reached()}
        if rows:
            others = {name: version for name, version in by[kind].items() if name[7:] != kind}
            yield f"attack {kind}", Outcome(spec.version, rows, others)


def _reached() -> str:
    attack = ApgdTextTargeted(kind="apgd-text-targeted", eps="1/255", target="No dog")
    texts = ("no dog", "There is NO  dog.", "snow dog", "no dogs", "no, dog", "dog no dog", "")
    found = targets_reached(attack, [Question("?", ("yes",))] * len(texts), texts)
    assert found is not None
    return "".join(map(str, found.astype(int)))


# Answers that tell the rules of the scorers apart, and what is known to be right.
_TEXTS = (
    "Two dogs.",
    "no",
    "A dog, not a cat",
    "the 2 dogs' 3-inch toys",
    "Oxen",
    "café",
    "Yes.",
    "",
)
_QUESTIONS = [
    Question("?", ("two dogs", "2 dogs", "dogs", "a dog", "no", "no", "yes", "2", "two", "it's 2")),
    Question("?", ("no", "no", "yes", "no", "no", "no", "no", "No.", "no", "no"), ("dog",), "cat"),
    Question("?", ("no", "a dog is here"), ("cats", "big cat"), "dog"),
    Question("?", ("dogs' toys of 3-inch size", "two dogs"), ("dog",)),
    Question("?", ("oxen", "an ox"), ("ox",)),
    Question("?", ("cafe", "a café"), ("cafe", "coffee house")),
    Question("?", ("yes",) * 10, ("yes",)),
    Question("?", ("no", "nothing"), ("nothing",)),
]  # fmt: skip
# Answers to a multiple choice whose right letter is B.
_CHOICES = ("B", "B. two dogs", "The answer is B.", "b", "B)", "A", "")


def _metric(name: str, clean: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    if name == ACCURACY:
        return {"clean images": clean[name]}
    if name == CHOICE:
        asked = [Question("?", ("B",))] * len(_CHOICES)
        scores = build_scorer(name, asked, match)(_CHOICES, asked)
        return {"texts": {"scores": _numbers(torch.from_numpy(scores))}}
    if metric_of(name).task.answers:
        scores = build_scorer(name, _QUESTIONS, match)(_TEXTS, _QUESTIONS)
        found = {"texts": {"scores": _numbers(torch.from_numpy(scores))}}
        if metric_of(name).has_rule:
            always = build_scorer(name, _QUESTIONS, match, "always")(_TEXTS, _QUESTIONS)
            found["texts, always normalised"] = {"scores": _numbers(torch.from_numpy(always))}
        return found
    cosines = torch.sin(torch.arange(12 * 24, dtype=torch.float64) ** 2 * 0.37).view(12, 24)
    captioned = SimpleNamespace(captions=[("one", "other")] * 12)
    found = Retrieval().values(cosines.float(), torch.arange(12), captioned, name)
    return {"cosines": {"correct": "".join(map(str, found.int().tolist()))}}


def _tasks() -> Iterator[tuple[Any, dict[str, dict[str, Any]]]]:
    clip, (images, labels) = TinyClip(CPU), known()
    head = zero_shot_head(clip, WORDS[:10], ("a photo of a {c}.", "{c}"))
    yield (
        "classification",
        {"logits": _scores(ZeroShotClassifier(clip, head)(images) / clip.logit_scale)},
    )
    captions = [f"a {WORDS[label]} of {n}" for label in labels.tolist() for n in ("old", "now")]
    owners = torch.arange(len(captions)) // 2
    retrieval = RetrievalClassifier(clip, text_vectors(clip, captions).T, owners)
    yield "retrieval", {"logits": _scores(retrieval(images) / clip.logit_scale)}
    rows = torch.arange(len(images))
    for name, metric in (("answering", VQA_ACCURACY), ("captioning", CIDER)):
        told = [references(question, metric) for question in _QUESTIONS]
        asked = {row: ("what is it?", WORDS[row]) for row in rows.tolist()}
        prompted = PromptedModel(TinySpeaker(CPU), asked)
        yield (
            name,
            {
                "references": {"texts": " | ".join("; ".join(texts) for texts in told)},
                "likelihood": _scores(prompted.likelihood(images, rows)),
                "embeddings": _scores(prompted.embed(images)[:, ::8]),
            },
        )


def _scores(numbers: Tensor) -> dict[str, str]:
    return {"scores": _numbers(numbers)}


def _numbers(numbers: Tensor) -> str:
    return " ".join(f"{number:.5f}" for number in numbers.detach().flatten().tolist())


def main() -> int:
    """Write the file where a version was raised for all that moved; else say what to raise."""
    then = pinned() if FILE.exists() else {}
    now = outcomes()
    if lines := list(_moved(then, now)):
        print("\n".join(lines))
        return 1
    FILE.write_text(json.dumps({k: asdict(v) for k, v in now.items()}, indent=1) + "\n", "utf-8")
    print(
        "\n".join(_to_pin(then, now)).replace(f": run `{COMMAND}`", ": written now")
        or "nothing moved"
    )
    return 0


def pinned() -> dict[str, Any]:
    """Return the outcomes that are pinned."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
