"""What cells share and is made once: models, zero-shot heads, decoded images, batch sizes."""

import gc
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor

from bench.core.errors import CellError, StoreError, TimeUp
from bench.core.language_types import AnsweringModel
from bench.core.locks import Lock
from bench.core.terminal import legible
from bench.core.types import EmbeddingClassifier, ImageTextModel
from bench.data.tensors import Images, in_parts, load
from bench.models import ClipModel, LanguageModel, build_model
from bench.models.batch_size import Batch, batch_for, too_little
from bench.models.compiled import Compiled, lay_out
from bench.models.lowered_precision import Lowered, LoweredAnswers
from bench.suite.load import Suite
from bench.suite.metrics import TASKS, Task, metric_of
from bench.suite.specs import Component, Precision, task_of
from bench.tasks.answer_judges import Judge, build_judge, match
from bench.tasks.answer_scores import Scorer, scorer
from bench.tasks.embedding_tasks import EMBEDDING_TASKS
from bench.tasks.prompted_models import Prompted, Seeing

T = TypeVar("T")

_HELD = 0.5  # of its whole memory, past which models are let go of before another comes


@dataclass
class Warm:
    """Makes what cells share when it is first asked for, and keeps it.

    Attributes:
        suite: What names refer to.
        lock: Which images are used.
        problems: What could not be made, by key path, and why; who asks again is told the same.
        device: Where models run.
        size: Images at once; found by trial where None.
        trust: Whether code named by the suite may be imported.
        compiled: Whether towers are compiled for full batches.
        judged: Folder where replies of a judge are kept.
        relieved: Whether all was let go of for want of memory, and no cell was done since.
    """

    suite: Suite
    lock: Lock
    problems: dict[str, str]
    device: torch.device
    size: int | None
    trust: bool
    compiled: bool = False
    judged: Path = Path("judged")
    relieved: bool = False
    _layouts: dict[str, str] = field(default_factory=dict)
    _towers: dict[Hashable, Compiled] = field(default_factory=dict)
    _models: dict[Hashable, ImageTextModel] = field(default_factory=dict)
    _images: dict[str, Images] = field(default_factory=dict)
    _vectors: dict[Hashable, Tensor] = field(default_factory=dict)
    _batches: dict[Hashable, Batch] = field(default_factory=dict)
    _scorers: dict[tuple[str, str], Scorer] = field(default_factory=dict)
    _asked: Judge | None = None  # a local one has a model

    def classifier(
        self,
        model: str,
        dataset: str,
        precision: Precision = "fp32",
        without: tuple[Component, ...] = (),
    ) -> EmbeddingClassifier:
        """Return a model with its head for a dataset, `[b,3,h,w]` in [0,1] to `[b,k]`.

        An adapted one comes `without` some of its components, where that is asked for.
        """
        whole = self.compiled and not without
        tower: ImageTextModel = self._tower(model, dataset) if whole else self.model(model, without)
        if precision == "bf16":
            tower = Lowered(tower, self.device)
        return self._joined(tower, model, dataset)

    def source(
        self,
        model: str,
        dataset: str,
        precision: Precision,
        without: tuple[Component, ...],
        asked: Mapping[int, tuple[str, str]],
    ) -> EmbeddingClassifier:
        """Return what an attack is run on: as `classifier`, or what sees images of questions.

        Where images are asked about in words, that is a model with what it is `asked`, by label
        the prompt and the text that the attack is about; or a CLIP with what images show and what
        they are to be taken for.
        """
        if not self.task(dataset).answers:
            return self.classifier(model, dataset, precision, without)
        built = self.model(model, without)
        if isinstance(built, AnsweringModel):
            lowered = precision == "bf16"
            return Prompted(LoweredAnswers(built, self.device) if lowered else built, asked)
        return Seeing(Lowered(built, self.device) if precision == "bf16" else built, asked)

    def scorer(self, dataset: str, metric: str) -> Scorer:
        """Return what answers about a dataset's images are scored by."""
        if (dataset, metric) not in self._scorers:
            everyone = self.images(dataset).questions
            judge = self._judge() if metric_of(metric).judged else match
            self._scorers[dataset, metric] = scorer(metric, everyone, judge)
        return self._scorers[dataset, metric]

    def _judge(self) -> Judge:
        """Return who decides whether an answer names an object; its replies are kept."""
        if self._asked is None:
            judge, weights = self.suite.protocol.judge, self.lock.judge
            self._asked = self.once(
                "protocol.judge",
                lambda: build_judge(judge, self.judged, weights, self.device, self.trust),
            )
        return self._asked

    def _joined(self, tower: ImageTextModel, model: str, dataset: str) -> EmbeddingClassifier:
        """Join a model's image tower, in whatever form, with the head of its texts."""
        built, images = self.model(model), self.images(dataset)
        if isinstance(built, AnsweringModel):
            raise CellError(f"{model!r} answers in words, and has no place for classes")
        # models that differ in their image tower alone, as adapted ones do, share the vectors
        text = built.encode if isinstance(built, ClipModel) else built
        templates = self.suite.protocol.templates
        prompts = images.templates if templates == "dataset" else templates
        name = self.task(dataset).name
        key = (text, name, images.classes, images.captions, prompts)
        if key not in self._vectors:
            self._vectors[key] = EMBEDDING_TASKS[name].vectors(built, images, prompts)
        head: EmbeddingClassifier = EMBEDDING_TASKS[name].head(tower, self._vectors[key], images)
        return head

    def _tower(self, model: str, dataset: str) -> Compiled:
        batch = self.batch(model, dataset)
        if (model, batch) not in self._towers:
            self._towers[model, batch] = Compiled(self.model(model), batch)
        return self._towers[model, batch]

    def batch(self, model: str, dataset: str) -> Batch:
        """Return how many of a dataset's images go through a model at once."""
        height, width = self.images(dataset).pixels.shape[-2:]
        key: Hashable = (model, height, width)
        if self.task(dataset).answers:  # how long a text is counts as much
            key = (model, height, width, dataset)
        if key not in self._batches:
            self._batches[key] = (
                Batch(self.size) if self.size else self._trial(model, dataset, height, width)
            )
        return self._batches[key]

    def _trial(self, model: str, dataset: str, height: int, width: int) -> Batch:
        outputs = self._outputs(model, dataset)

        def both_ways(part: slice) -> None:
            shape = (part.stop - part.start, 3, height, width)
            points = torch.rand(shape, device=self.device, requires_grad=True)
            torch.autograd.grad(outputs(points).sum(), points)

        return batch_for(self.device, height, width, both_ways)

    def _outputs(self, model: str, dataset: str) -> Callable[[Tensor], Tensor]:
        """Return what an attack differentiates, at its largest."""
        if not self.task(dataset).answers:
            return self._joined(self.model(model), model, dataset)
        questions = self.images(dataset).questions
        longest = max(
            ((each.prompt, text) for each in questions for text in (*each.answers, each.decoy)),
            key=lambda pair: sum(map(len, pair)),
        )
        asked = self.source(model, dataset, "fp32", (), {0: longest})
        if not isinstance(asked, Prompted):
            return asked
        return lambda points: asked.likelihood(points, torch.zeros(len(points), dtype=torch.long))

    def model(self, name: str, without: tuple[Component, ...] = ()) -> ImageTextModel:
        """Return a model of the suite, without some of its components where it is adapted."""
        key = (name, without)
        if key not in self._models:
            self._make_room()
            spec = self.suite.models[name].less(without)
            built = self.once(
                f"models.{name}",
                lambda: cast(
                    ImageTextModel,
                    build_model(
                        spec,
                        self.device,
                        self.model,
                        resize=self.suite.protocol.resize,
                        trust=self.trust,
                    ),
                ),
            )
            layout = lay_out(built.tower) if isinstance(built, ClipModel) else None
            if layout:
                self._layouts[name] = layout
            self._models[key] = built
        return self._models[key]

    def _make_room(self) -> None:
        """Let go of models and images where they hold much of an accelerator's memory."""
        if self.device.type == "cuda":
            total = torch.cuda.mem_get_info(self.device)[1]
            if torch.cuda.memory_allocated(self.device) > _HELD * total:
                self._forget()

    def relieve(self) -> None:
        """Let go of all that is warm, and go on with half as many images at once."""
        self.relieved = True
        self._forget()
        for batch in self._batches.values():
            batch.size = max(1, batch.size // 2)
        self.size = max(1, self.size // 2) if self.size else None

    def _forget(self) -> None:
        self._models.clear()
        self._towers.clear()
        self._vectors.clear()  # keyed by the models' own text towers
        self._images.clear()
        self._scorers.clear()  # which hold the judge
        self._asked = None
        gc.collect()  # towers and what was adapted from them are in cycles
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def facts(self, model: str) -> dict[str, str]:
        """Return what a model of the suite is like as built, and how it runs where not as ever."""
        built = self.model(model)
        own = built.facts() if isinstance(built, ClipModel | LanguageModel) else {}
        compiled = {"compiled": "full batches"} if self.compiled else {}
        layout = {"layout": self._layouts[model]} if model in self._layouts else {}
        return {**own, **compiled, **layout}

    def task(self, dataset: str) -> Task:
        """Return the task of a dataset of the suite."""
        return TASKS[task_of(self.suite.dataset(dataset))]

    def images(self, name: str) -> Images:
        """Return a dataset of the suite."""
        if name not in self._images:
            self._images[name] = self.once(f"datasets.{name}", lambda: self._load(name))
        return self._images[name]

    def parts(self, name: str) -> Iterator[Images]:
        """Yield all images of a dataset in parts, which are not kept."""
        spec, size = self.suite.dataset(name), self.suite.protocol.pixels_of(name)
        for key in (f"datasets.{name}", f"datasets.{name}.whole"):
            if key in self.problems:
                raise CellError(self.problems[key])
        yield from in_parts(spec, self.lock.whole[name].sample_ids, size, self.device)

    def _load(self, name: str) -> Images:
        spec, size = self.suite.dataset(name), self.suite.protocol.pixels_of(name)
        return load(spec, self.lock.datasets[name].sample_ids, size, self.device)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Make something that cells share; what failed once in a run fails for all of them."""
        if key in self.problems:
            raise CellError(self.problems[key])
        try:
            return make()
        except Exception as error:
            if not (too_little(error) or isinstance(error, TimeUp | StoreError)):  # they may pass
                self.problems[key] = reason(error)
            raise


def reason(error: Exception) -> str:
    """Return what a cell's row says of an error, which may quote a proxy or a file."""
    kind = "" if isinstance(error, CellError) else f"{type(error).__name__}: "
    return legible(f"{kind}{error}")
