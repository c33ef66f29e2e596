"""Make adversarial images of some rows of a dataset with an attack on a cell's source model."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.attacks.engine import NativeAttack
from bench.attacks.ensemble_model import EnsembleModel
from bench.attacks.query_counter import QueryCounter
from bench.core.deadline import Deadline
from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.core.types import EmbeddingClassifier, Mode
from bench.data.tensors import Images
from bench.evaluate.model_cache import ModelCache
from bench.evaluate.tally import Tally
from bench.models.batch_size import Batch, out_of_memory
from bench.models.lowered_precision import matmul_precision
from bench.plan.cells import Cell
from bench.plan.shards import chunk_of
from bench.suite.specs import AnyAttack, Backward, Component, Precision
from bench.tasks.answer_targets import attack_texts


@dataclass(frozen=True, slots=True)
class Case:
    """A cell with what is needed to compute it.

    Attributes:
        cell: The cell.
        cache: The models with their heads and batch sizes.
        images: The images of the dataset.
    """

    cell: Cell
    cache: ModelCache
    images: Images

    @property
    def deadline(self) -> Deadline:
        """The time limit."""
        return self.cache.loading.deadline


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
        case: The cell with its models and images.
        attack: The attack, with its settings limited to the dataset's classes.
        rows: Rows of the images, `[b]`.
        precision: Floating-point precision of the source models.
        tally: Records the passes.
        texts: Per image the text that the attack is about, if models answer in words; if None, the
            first reference answer, or the target of a targeted attack.
        starts: Starting points `[b,3,h,w]` of a native attack, which then runs once without
            restarts.

    Raises:
        CellError: The time limit has passed, or the chunks of an adapter do not fit into memory.
    """
    cell, images = case.cell, case.images
    counted: list[QueryCounter] = []

    def build_source(
        names: Sequence[str], without: tuple[Component, ...] = ()
    ) -> EmbeddingClassifier:
        built = [
            case.cache.source(name, cell.dataset, precision, without, prompts) for name in names
        ]
        members = [QueryCounter(classifier, case.deadline) for classifier in built]
        counted.extend(members)
        return members[0] if len(members) == 1 else EnsembleModel(members)

    def surrogate(which: Backward | Literal["base"]) -> EmbeddingClassifier:
        if which == "base":
            specs = [case.cache.suite.models[name] for name in cell.sources]
            return build_source([each.architecture_of for each in specs if each.architecture_of])
        return build_source((which.model,) if which.model else cell.sources, which.without)

    clean, labels = images.floats(rows), images.labels[rows.to(images.labels.device)]
    prompts = _prompts_and_texts(case, attack, rows, texts)
    source = build_source(cell.sources)
    if starts is not None and getattr(attack, "restarts", 1) > 1:
        attack = attack.model_copy(update={"restarts": 1})
    batch, answers = batch_of(case.cache, cell), cell.task.answers
    run = build_attack(attack, batch=batch, surrogate=surrogate, answers=answers)
    start_options = (
        {} if starts is None or not isinstance(run, NativeAttack) else {"starts": starts}
    )
    # only the answer shows whether an attack on it succeeded, so no image stops early
    mode: Mode = "full" if answers else cell.mode
    seeds = [sample_seed(cell.seed, images.sample_ids[row]) for row in rows.tolist()]
    try:
        with matmul_precision(precision):
            proposal = run(
                source, clean, labels, cell.budget, mode=mode, seeds=seeds, **start_options
            )
    except Exception as error:
        chunk = chunk_of(attack)
        if chunk is None or not out_of_memory(error) or not case.cache.memory_freed:
            raise  # the cell is tried again on smaller batches and with free memory
        raise CellError(
            f"{attack.label}: chunks of {chunk} images do not fit into the device's memory; set "
            "a smaller `chunk` in the suite (a new cell, since its random numbers differ)"
        ) from error
    if not torch.isfinite(proposal).all():
        raise CellError(f"{attack.label}: the attack proposed pixels that are not finite numbers")
    for model in counted:
        tally.add(model)
    return project(proposal.detach(), clean, cell.budget)


def _prompts_and_texts(
    case: Case, attack: AnyAttack, rows: Tensor, texts: Sequence[str] | None
) -> dict[int, tuple[str, str]]:
    """Return by label the prompt of each row and the text that an attack is about.

    For an attack on value features, return the names of the true object and of the decoy instead.
    Empty if models do not answer in words.
    """
    if not case.cell.task.answers:
        return {}
    questions = [case.images.questions[row] for row in rows.tolist()]
    if attack.loss_input == "value features":
        return _object_names(attack, labels_of(case.images, rows), questions)
    if texts is None:
        texts = [text or "" for text in attack_texts(attack, questions, case.cell.metric)]
    labels = labels_of(case.images, rows)
    return {
        label: (question.prompt, text)
        for label, question, text in zip(labels, questions, texts, strict=True)
    }


def _object_names(
    attack: AnyAttack, labels: Sequence[int], questions: Sequence[Question]
) -> dict[int, tuple[str, str]]:
    if missing := sum(not question.names for question in questions):
        raise CellError(
            f"{attack.label}: {missing} of {len(questions)} questions have no name of the object "
            "in their image; the attack needs it"
        )
    return {
        label: (question.names[0], question.decoy)
        for label, question in zip(labels, questions, strict=True)
    }


def labels_of(images: Images, rows: Tensor) -> list[int]:
    """Return the labels of rows as integers."""
    found: list[int] = images.labels[rows.to(images.labels.device)].tolist()
    return found


def batch_of(cache: ModelCache, cell: Cell) -> Batch:
    """Return the smallest batch size of a cell's source models."""
    return min((cache.batch(name, cell.dataset) for name in cell.sources), key=lambda b: b.size)


def sample_seed(seed: int, sample_id: str) -> int:
    """Return the seed of one image's random stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()[:7], "big")
