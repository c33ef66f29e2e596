"""Tasks and their metrics, under the names that CLIP_benchmark uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.suite.specs import DatasetSpec, LanguageDataset, Protocol, TaskName, task_of

ACCURACY = "accuracy"
VQA_ACCURACY = "vqa_accuracy"
YES_NO = "yes_no_accuracy"
CHOICE = "choice_accuracy"
NAMES_OBJECT = "names_object"
CIDER = "cider"
RECALL_DEPTHS = (1, 5, 10)  # k of recall@k
ID_SEPARATOR = "#"  # between an image's id and the number of its caption or question


@dataclass(frozen=True, slots=True)
class Task:
    """What models do with the images of a dataset.

    Attributes:
        name: Name in code; some kinds of datasets take it as `task`.
        title: Name in tables.
        scored_by: What the task measures, for messages.
        labels: What each image comes with. With questions, models are scored by their answers in
            words; otherwise by embeddings of images and texts.
        version: Raised when a change of the code changes all numbers of the task.
    """

    name: TaskName
    title: str
    scored_by: str
    labels: Literal["classes", "captions", "questions"]
    version: int = 1

    @property
    def answers(self) -> bool:
        """Whether models answer in words."""
        return self.labels == "questions"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a task.

    Attributes:
        name: Name in `cells.csv`.
        task: The task that it measures.
        suffix: Last word of its columns' names. Empty for the task's main metric, which means,
            ranks and worst cases use.
        unit: What the metric is a mean over. An image may have several captions or questions.
        highest: The best score; the lowest is 0.
        graded: Whether scores between 0 and `highest` occur. Otherwise a prediction is right or
            wrong.
        title: Name in sentences.
        early_stop: Whether a white-box attack may stop on an image once its score is 0. It may not
            if other metrics are computed from the same adversarial images.
        top_logit: Whether an image is right if and only if its label has the highest logit.
        judged: Whether `protocol.judge` decides which answers are right.
        has_rule: Whether `protocol.vqa_rule` decides when answers are normalised.
        version: Raised when a change of the code changes the metric's numbers.
    """

    name: str
    task: Task
    suffix: str = ""
    unit: Literal["images", "captions", "questions"] = "images"
    highest: float = 1.0
    graded: bool = False
    title: str = "accuracy"
    early_stop: bool = False
    top_logit: bool = False
    judged: bool = False
    has_rule: bool = False
    version: int = 1

    def column(self, name: str) -> str:
        """Return the name of this metric's column for an attack (`name`)."""
        return f"{name} {self.suffix}" if self.suffix else name

    @property
    def is_main(self) -> bool:
        """Whether the task's means, ranks and worst cases use this metric."""
        return not self.suffix

    @property
    def shares_images(self) -> bool:
        """Whether several captions or questions of one image are scored separately."""
        return self.unit != "images"


CLASSIFICATION = Task(
    "classification", "zero-shot classification", "accuracy among classes", "classes"
)
RETRIEVAL = Task("retrieval", "zero-shot retrieval", "recall among captions", "captions")
ANSWERING = Task("answering", "visual question answering", "answers in words", "questions")
CAPTIONING = Task("captioning", "captioning", "captions in words", "questions")

TASKS = {task.name: task for task in (CLASSIFICATION, RETRIEVAL, ANSWERING, CAPTIONING)}

# In the order of the leaderboard's columns. The main metric of a task is its first.
METRICS = (
    Metric(ACCURACY, CLASSIFICATION, early_stop=True, top_logit=True),
    Metric("text_retrieval_recall@1", RETRIEVAL, top_logit=True),  # the query is an image
    *(Metric(f"text_retrieval_recall@{k}", RETRIEVAL, f"TR@{k}") for k in RECALL_DEPTHS[1:]),
    # the query is a caption
    *(
        Metric(f"image_retrieval_recall@{k}", RETRIEVAL, f"IR@{k}", "captions")
        for k in RECALL_DEPTHS
    ),
    # agreement with the annotators, in [0,1] per question
    Metric(VQA_ACCURACY, ANSWERING, unit="questions", graded=True, early_stop=True, has_rule=True),
    Metric(YES_NO, ANSWERING, unit="questions", early_stop=True),  # as POPE scores
    # the letter of a multiple choice, as LLaVA reads it
    Metric(CHOICE, ANSWERING, unit="questions", early_stop=True),
    # whether the answer names the object that the image shows
    Metric(NAMES_OBJECT, ANSWERING, unit="questions", early_stop=True, judged=True),
    # CIDEr-D per caption
    Metric(CIDER, CAPTIONING, highest=10.0, graded=True, title="CIDEr-D", early_stop=True),
)
_BY_NAME = {metric.name: metric for metric in METRICS}


def metric_of(name: str) -> Metric:
    """Return the metric with a name.

    Raises:
        ValueError: No metric has the name.
    """
    if name not in _BY_NAME:
        raise ValueError(f"metric: got {name!r}; allowed: {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def rule_of(protocol: Protocol, metric: str) -> str:
    """Return the rule of a protocol by which a metric normalises answers; empty if it has none."""
    return protocol.vqa_rule if metric_of(metric).has_rule else ""


def metrics_of(dataset: DatasetSpec) -> tuple[Metric, ...]:
    """Return the metrics of a dataset, the main metric first."""
    if isinstance(dataset, LanguageDataset):
        return (_BY_NAME[_language_metric(dataset)],)
    task = TASKS[task_of(dataset)]
    return tuple(metric for metric in METRICS if metric.task.name == task.name)


# The metric of questions in published files; other questions ask for the name of an object.
_METRIC_OF_FORMAT: Mapping[str, str] = {
    "vqav2": VQA_ACCURACY,
    "textvqa": VQA_ACCURACY,
    "vizwiz": VQA_ACCURACY,
    "scienceqa": CHOICE,
    "pope": YES_NO,
}


def _language_metric(dataset: LanguageDataset) -> str:
    if task_of(dataset) == CAPTIONING.name:
        return CIDER
    if dataset.question_type == "whether":
        return YES_NO
    return _METRIC_OF_FORMAT.get(dataset.format, NAMES_OBJECT)


def image_id_of(sample_id: str) -> str:
    """Return the image id of a sample id.

    Args:
        sample_id: The id of an image, or of a caption or question about an image.
    """
    image, separator, _ = sample_id.rpartition(ID_SEPARATOR)
    return image if separator else sample_id
