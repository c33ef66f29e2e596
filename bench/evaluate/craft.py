"""Adversarial images for some rows of a dataset, proposed by an attack on a cell's source."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.attacks.engine import NativeAttack
from bench.attacks.ensemble_model import Mean
from bench.attacks.query_counter import Counted
from bench.core.deadline import Deadline
from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.core.types import EmbeddingClassifier, Mode
from bench.data.tensors import Images
from bench.evaluate.model_cache import Warm
from bench.evaluate.tally import Tally
from bench.models.batch_size import Batch, ran_out
from bench.models.lowered_precision import arithmetic
from bench.plan.cells import Cell
from bench.plan.shards import chunk_of
from bench.suite.specs import AnyAttack, Backward, Component, Precision
from bench.tasks.answer_targets import texts_of


@dataclass(frozen=True, slots=True)
class Case:
    """What a cell is measured with.

    Attributes:
        cell: What is measured.
        warm: Its models, with their heads and batch sizes.
        images: Its dataset.
        deadline: When time is up.
    """

    cell: Cell
    warm: Warm
    images: Images
    deadline: Deadline


def craft(
    case: Case,
    attack: AnyAttack,
    rows: Tensor,
    precision: Precision,
    tally: Tally,
    *,
    texts: Sequence[str] | None = None,
    starts: Tensor | None = None,
) -> Tensor:
    """Return the points `[b,3,h,w]` that an attack finds on the source, within the budget.

    Args:
        case: What is attacked.
        attack: The attack, fitted to the dataset.
        rows: Which images.
        precision: In what its models compute.
        tally: Where passes are noted.
        texts: Per image the text that the attack is about, where models answer in words; if None,
            the first reference answer, or the target.
        starts: The points `[b,3,h,w]` at which a native attack begins; it then has one run.

    Raises:
        CellError: Time is up, or the chunks of an adapter do not fit into memory.
    """
    cell, images = case.cell, case.images
    seen: list[Counted] = []

    def joint(names: Sequence[str], without: tuple[Component, ...] = ()) -> EmbeddingClassifier:
        built = [case.warm.source(name, cell.dataset, precision, without, asked) for name in names]
        own = [Counted(classifier, case.deadline) for classifier in built]
        seen.extend(own)
        return own[0] if len(own) == 1 else Mean(own)

    def surrogate(backward: Backward) -> EmbeddingClassifier:
        return joint((backward.model,) if backward.model else cell.sources, backward.without)

    clean, labels = images.floats(rows), images.labels[rows.to(images.labels.device)]
    asked = _asked(case, attack, rows, texts)
    source = joint(cell.sources)
    if starts is not None and getattr(attack, "restarts", 1) > 1:
        attack = attack.model_copy(update={"restarts": 1})
    batch, answers = batch_of(case.warm, cell), cell.task.answers
    run = build_attack(attack, batch=batch, surrogate=surrogate, answers=answers)
    begun = {} if starts is None or not isinstance(run, NativeAttack) else {"starts": starts}
    mode: Mode = "full" if answers else cell.mode  # only an answer tells whether an image is broken
    seeds = [sample_seed(cell.seed, images.sample_ids[row]) for row in rows.tolist()]
    try:
        with arithmetic(precision):
            proposal = run(source, clean, labels, cell.budget, mode=mode, seeds=seeds, **begun)
    except Exception as error:
        chunk = chunk_of(attack)
        if chunk is None or not ran_out(error) or not case.warm.relieved:
            raise  # another try, on smaller batches and with nothing else in memory, may do
        raise CellError(
            f"{attack.label}: chunks of {chunk} images do not fit into the device's "
            "memory; a smaller `chunk` is another cell, since its random numbers differ"
        ) from error
    for model in seen:
        tally.add(model)
    return project(proposal.detach(), clean, cell.budget)


def _asked(
    case: Case, attack: AnyAttack, rows: Tensor, texts: Sequence[str] | None
) -> dict[int, tuple[str, str]]:
    """Return by label the prompt of each row and the text that an attack is about.

    For an attack on value features, return the names of the true object and of the decoy.
    """
    if not case.cell.task.answers:
        return {}
    questions = [case.images.questions[row] for row in rows.tolist()]
    if attack.goes_by == "value features":
        return _shown(attack, labels_of(case.images, rows), questions)
    if texts is None:
        texts = [text or "" for text in texts_of(attack, questions, case.cell.metric)]
    labels = labels_of(case.images, rows)
    return {
        label: (question.prompt, text)
        for label, question, text in zip(labels, questions, texts, strict=True)
    }


def _shown(
    attack: AnyAttack, labels: Sequence[int], questions: Sequence[Question]
) -> dict[int, tuple[str, str]]:
    if missing := sum(not question.names for question in questions):
        raise CellError(
            f"{attack.label}: {missing} of {len(questions)} questions do not say what their image "
            "shows"
        )
    return {
        label: (question.names[0], question.decoy)
        for label, question in zip(labels, questions, strict=True)
    }


def labels_of(images: Images, rows: Tensor) -> list[int]:
    """Return the labels of rows, as numbers."""
    found: list[int] = images.labels[rows.to(images.labels.device)].tolist()
    return found


def batch_of(warm: Warm, cell: Cell) -> Batch:
    """Return how many images go at once through the models that a cell is crafted on."""
    return min((warm.batch(name, cell.dataset) for name in cell.sources), key=lambda b: b.size)


def sample_seed(seed: int, sample_id: str) -> int:
    """Return the seed of one image's random stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()[:7], "big")
