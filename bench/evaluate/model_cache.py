"""A cache of what cells share: models, zero-shot heads, batch sizes, scorers and images."""

import gc
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from bench.core.devices import usable_memory
from bench.core.errors import CellError
from bench.core.language_types import AnsweringModel
from bench.core.resolved_names import Lock
from bench.core.types import EmbeddingClassifier, ImageTextModel
from bench.data.tensors import Images
from bench.evaluate.image_cache import ImageCache
from bench.evaluate.loading import Loading
from bench.evaluate.scorer_cache import ScorerCache
from bench.evaluate.text_vectors import TextVectors
from bench.evaluate.unchanged import require_unchanged_model
from bench.models import (
    ClipModel,
    DefendedLogits,
    DefendedModel,
    LanguageModel,
    LogitsModel,
    build_model,
)
from bench.models.batch_dependence import require_independence
from bench.models.batch_size import Batch, batch_for
from bench.models.compiled import Compiled, use_channels_last
from bench.models.lowered_precision import in_bfloat16
from bench.models.own_outputs import LogitsClassifier, ModelOfLogits
from bench.suite.load import Suite
from bench.suite.metrics import TASKS, Task
from bench.suite.specs import Component, Precision, task_of
from bench.tasks.answer_scores import Scorer
from bench.tasks.prompted_models import PromptedModel, ValueFeatureModel

_FULL = 0.5  # share of the memory that this process may use, above which models are dropped


@dataclass
class ModelCache:
    """Builds models, heads, scorers and images at their first use and keeps them.

    Attributes:
        suite: Defines the names.
        lock: Lists the images of each dataset.
        problems: Reasons why something could not be built, by key path; a second request for it
            raises the same reason.
        device: Device of the models.
        batch_size: Number of images at once; found by trial if None.
        trust: Whether code that the suite names may be imported.
        compiled: Whether image towers are compiled for full batches.
        judge_replies: Folder of a judge's stored replies.
        logs: Folder of the run, where tracebacks are written; None for none.
        memory_freed: Whether the cache was cleared because memory ran out, and no cell has been
            computed since.
        loading: Remembers errors, measures the time of loading, and has the time limit.
    """

    suite: Suite
    lock: Lock
    problems: dict[str, str]
    device: torch.device
    batch_size: int | None
    trust: bool
    compiled: bool = False
    judge_replies: Path = Path("judged")
    logs: Path | None = None
    memory_freed: bool = False
    _layouts: dict[str, str] = field(default_factory=dict)
    _towers: dict[Hashable, Compiled] = field(default_factory=dict)
    _models: dict[Hashable, ImageTextModel] = field(default_factory=dict)
    _batches: dict[Hashable, Batch] = field(default_factory=dict)
    _independent: set[str] = field(default_factory=set)
    loading: Loading = field(init=False)
    _images: ImageCache = field(init=False)
    _vectors: TextVectors = field(init=False)
    _scorers: ScorerCache = field(init=False)

    def __post_init__(self) -> None:
        """Create empty caches of images, text vectors and scorers."""
        self.loading = Loading(self.problems, self.logs, self.device)
        self._images = ImageCache(self.suite, self.lock, self.device, self.loading)
        self._vectors = TextVectors(self.suite.protocol, self.loading)
        self._scorers = ScorerCache(
            self.suite, self.lock, self.device, self.trust, self.judge_replies, self._images,
            self.loading,
        )  # fmt: skip

    def classifier(
        self,
        model: str,
        dataset: str,
        precision: Precision = "fp32",
        without: tuple[Component, ...] = (),
    ) -> EmbeddingClassifier:
        """Return a model with its head for a dataset, `[b,3,h,w]` in [0,1] to logits `[b,k]`.

        Args:
            model: Name of the model.
            dataset: Name of the dataset.
            precision: Floating-point precision of the image tower.
            without: Components that are left out of an adapted or defended model.
        """
        tower = self._image_tower(model, dataset, *without)
        if self.compiled and not without and not isinstance(tower, LogitsModel | DefendedModel):
            tower = self._tower(model, dataset)
        if precision == "bf16":
            tower = in_bfloat16(tower, self.device)
        return self._with_head(tower, model, dataset)

    def source(
        self,
        model: str,
        dataset: str,
        precision: Precision,
        without: tuple[Component, ...],
        asked: Mapping[int, tuple[str, str]],
    ) -> EmbeddingClassifier:
        """Return the model that an attack differentiates.

        For datasets with classes or captions it is the `classifier`. For datasets with questions it
        is an answering model or a CLIP, together with `asked`: by label, the prompt and the text
        that the attack is about, or for a CLIP the names of the true object and of the decoy.
        """
        if not self.task(dataset).answers:
            return self.classifier(model, dataset, precision, without)
        built = self.model(model, without)
        if precision == "bf16":
            built = in_bfloat16(built, self.device)
        if isinstance(built, AnsweringModel):
            return PromptedModel(built, asked)
        return ValueFeatureModel(built, asked)

    def scorer(self, dataset: str, metric: str) -> Scorer:
        """Return the scorer of a dataset's answers for a metric."""
        return self._scorers.scorer(dataset, metric)

    def _with_head(self, tower: ImageTextModel, model: str, dataset: str) -> EmbeddingClassifier:
        """Join a model's image tower (also compiled or in bf16) with its head for a dataset."""
        built, images = self.model(model), self.images(dataset)
        if isinstance(built, AnsweringModel):
            raise CellError(f"{model!r} answers in words; classes need a model with embeddings")
        if isinstance(built, LogitsModel):
            self._test_independence(model, LogitsClassifier(built, images.classes), images)
            logits = LogitsClassifier(cast(ModelOfLogits, tower), images.classes)
            return cast(EmbeddingClassifier, logits)  # no attack uses the embeddings that it lacks
        self._test_independence(model, built.encode_image, images)
        return self._vectors.head(tower, built, images, self.task(dataset).name)

    def _image_tower(self, model: str, dataset: str, *without: Component) -> ImageTextModel:
        built = self.model(model, without)
        return self._vectors.told_to(built, self.images(dataset), self.task(dataset).name)

    def _test_independence(
        self, model: str, outputs: Callable[[Tensor], Tensor], images: Images
    ) -> None:
        if self.suite.models[model].runs_own_code and model not in self._independent:
            image = images.floats(torch.arange(1))[0]
            with self.loading.timed():
                self.loading.once(
                    f"models.{model}", lambda: require_independence(outputs, image, model)
                )
            self._independent.add(model)

    def _tower(self, model: str, dataset: str) -> Compiled:
        batch = self.batch(model, dataset)
        if (model, batch) not in self._towers:
            self._towers[model, batch] = Compiled(self.model(model), batch)
        return self._towers[model, batch]

    def batch(self, model: str, dataset: str) -> Batch:
        """Return the batch size of a model for a dataset's images."""
        height, width = self.images(dataset).pixels.shape[-2:]
        # memory also depends on the length of texts
        key = (model, height, width, dataset if self.task(dataset).answers else None)
        if key not in self._batches:
            fixed = Batch(self.batch_size) if self.batch_size else None
            with self.loading.timed():
                self._batches[key] = fixed or self._trial(model, dataset, height, width)
        return self._batches[key]

    def _trial(self, model: str, dataset: str, height: int, width: int) -> Batch:
        outputs = self._outputs(model, dataset)

        def forward_and_backward(part: slice) -> None:
            self.loading.check()
            shape = (part.stop - part.start, 3, height, width)
            points = torch.rand(shape, device=self.device, requires_grad=True)
            torch.autograd.grad(outputs(points).sum(), points)

        return batch_for(self.device, height, width, forward_and_backward)

    def _outputs(self, model: str, dataset: str) -> Callable[[Tensor], Tensor]:
        """Return the function that an attack differentiates, with the longest text if any."""
        if not self.task(dataset).answers:
            return self._with_head(self._image_tower(model, dataset), model, dataset)
        questions = self.images(dataset).questions
        longest = max(
            ((each.prompt, text) for each in questions for text in (*each.answers, each.decoy)),
            key=lambda pair: sum(map(len, pair)),
        )
        source = self.source(model, dataset, "fp32", (), {0: longest})
        if not isinstance(source, PromptedModel):
            return source
        return lambda points: source.likelihood(points, torch.zeros(len(points), dtype=torch.long))

    def model(self, name: str, without: tuple[Component, ...] = ()) -> ImageTextModel:
        """Return a model of the suite, `without` some components if it is adapted or defended."""
        key = (name, without)
        if key not in self._models:
            self._make_room()
            with self.loading.timed():
                built = self.loading.once(f"models.{name}", lambda: self._build(name, without))
            layout = use_channels_last(built.tower) if isinstance(built, ClipModel) else None
            if layout:
                self._layouts[name] = layout
            self._models[key] = built
        return self._models[key]

    def _build(self, name: str, without: tuple[Component, ...]) -> ImageTextModel:
        spec, known = self.suite.models[name], self.lock.models.get(name)
        if spec.runs_own_code:  # before it is built, since it may write into a folder of its `args`
            require_unchanged_model(name, spec, known)
        built = build_model(
            spec.without_components(without), self.device, self.model,
            resize=self.suite.protocol.resize, trust=self.trust, check=self.loading.check,
        )  # fmt: skip
        if not spec.runs_own_code:
            require_unchanged_model(name, spec, known)
        return cast(ImageTextModel, built)

    def _make_room(self) -> None:
        """Clear the cache if it holds more than `_FULL` of an accelerator's memory."""
        if self.device.type == "cuda":
            _, total = usable_memory(self.device)
            if torch.cuda.memory_allocated(self.device) > _FULL * total:
                self._clear()

    def free_memory(self) -> None:
        """Clear the cache after memory ran out, and halve all batch sizes."""
        self.memory_freed = True
        self._clear()
        for batch in self._batches.values():
            batch.size = max(1, batch.size // 2)
        self.batch_size = max(1, self.batch_size // 2) if self.batch_size else None

    def _clear(self) -> None:
        self._models.clear()
        self._towers.clear()
        self._vectors.clear()  # keyed by the models' own text towers
        self._images.clear()
        self._scorers.clear()
        gc.collect()  # towers and the models adapted from them are in reference cycles
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def facts(self, model: str) -> dict[str, str]:
        """Return facts of a built model: its own, and whether it is compiled or re-laid out."""
        built = self.model(model)
        known = isinstance(built, ClipModel | LanguageModel | DefendedModel | DefendedLogits)
        model_facts = built.facts() if known else {}  # type: ignore[attr-defined]
        towers = self.compiled and not isinstance(built, LogitsModel | DefendedModel)
        compiled = {"compiled": "full batches"} if towers else {}
        layout = {"layout": self._layouts[model]} if model in self._layouts else {}
        return {**model_facts, **compiled, **layout}

    def task(self, dataset: str) -> Task:
        """Return the task of a dataset of the suite."""
        return TASKS[task_of(self.suite.dataset(dataset))]

    def images(self, name: str) -> Images:
        """Return the images of a dataset of the suite."""
        return self._images.images(name)

    def parts(self, name: str) -> Iterator[Images]:
        """Yield all images of a dataset in parts; parts are not cached."""
        return self._images.parts(name)
