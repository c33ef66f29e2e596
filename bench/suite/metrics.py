"""Tasks and their metrics: what a number measures, under the names that CLIP_benchmark uses."""

from dataclasses import dataclass
from typing import Literal

from bench.suite.specs import DatasetSpec, LanguageDataset, TaskName, task_of

ACCURACY = "accuracy"
VQA_ACCURACY = "vqa_accuracy"
YES_NO = "yes_no_accuracy"
NAMES_OBJECT = "names_object"
CIDER = "cider"
RECALL_DEPTHS = (1, 5, 10)  # k of recall@k
ID_SEPARATOR = "#"  # between an image's id and the number of its caption or question


@dataclass(frozen=True, slots=True)
class Task:
    """What models do with the images of a dataset.

    Attributes:
        name: Its name in code; some kinds of datasets take it as `task`.
        title: What tables call it.
        scored_by: What its numbers are, for messages.
        labels: What each image comes with. Models are scored by their answers in words where that
            is a question, and by embeddings of images and texts elsewhere.
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
    """What a number measures.

    Attributes:
        name: As in `cells.csv`.
        task: Whose metric it is.
        suffix: What the names of its columns end in, after a space; empty for the metric that
            stands for its task in means, ranks and worst cases.
        counts: What the number is a mean over. An image may have several captions or questions.
        highest: The best score.
        graded: Whether a score may lie between 0 and `highest`; else an answer is right or wrong.
        title: What its numbers are called within a sentence.
        early_stop: Whether a white-box attack may leave an image alone once its score is 0. It may
            not where other metrics are read off the same adversarial images.
        top_logit: Whether an image is right if and only if its label has the highest logit.
        judged: Whether `protocol.judge` decides which answers are right.
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
    version: int = 1

    def column(self, name: str) -> str:
        """Return the name of a column of this metric, given that of an attack."""
        return f"{name} {self.suffix}" if self.suffix else name

    @property
    def is_main(self) -> bool:
        """Whether the task's means, ranks and worst cases are of this metric."""
        return not self.suffix

    @property
    def shares_images(self) -> bool:
        """Whether several of the answers that it counts may be about one image."""
        return self.unit != "images"


CLASSIFICATION = Task(
    "classification", "zero-shot classification", "accuracy among classes", "classes"
)
RETRIEVAL = Task("retrieval", "zero-shot retrieval", "recall among captions", "captions")
ANSWERING = Task("answering", "visual question answering", "answers in words", "questions")
CAPTIONING = Task("captioning", "captioning", "captions in words", "questions")

TASKS = {task.name: task for task in (CLASSIFICATION, RETRIEVAL, ANSWERING, CAPTIONING)}

# in the order of a leaderboard's columns; of a task, the metric that stands for it comes first
METRICS = (
    Metric(ACCURACY, CLASSIFICATION, early_stop=True, top_logit=True),
    Metric("text_retrieval_recall@1", RETRIEVAL, top_logit=True),  # an image finds its captions
    *(Metric(f"text_retrieval_recall@{k}", RETRIEVAL, f"TR@{k}") for k in RECALL_DEPTHS[1:]),
    # a caption finds its image
    *(
        Metric(f"image_retrieval_recall@{k}", RETRIEVAL, f"IR@{k}", "captions")
        for k in RECALL_DEPTHS
    ),
    # agreement with annotators, a fraction per question
    Metric(VQA_ACCURACY, ANSWERING, unit="questions", graded=True, early_stop=True),
    Metric(YES_NO, ANSWERING, unit="questions", early_stop=True),  # POPE's
    # whether the answer still names the object that the image shows
    Metric(NAMES_OBJECT, ANSWERING, unit="questions", early_stop=True, judged=True),
    # CIDEr-D per caption
    Metric(CIDER, CAPTIONING, highest=10.0, graded=True, title="CIDEr-D", early_stop=True),
)
_BY_NAME = {metric.name: metric for metric in METRICS}


def metric_of(name: str) -> Metric:
    """Return the metric of a name.

    Raises:
        ValueError: There is none.
    """
    if name not in _BY_NAME:
        raise ValueError(f"metric: got {name!r}; allowed: {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def metrics_of(dataset: DatasetSpec) -> tuple[Metric, ...]:
    """Return the metrics of a dataset, the one that stands for its task first."""
    if isinstance(dataset, LanguageDataset):
        return (_BY_NAME[_of_language(dataset)],)
    task = TASKS[task_of(dataset)]
    return tuple(metric for metric in METRICS if metric.task is task)


def _of_language(dataset: LanguageDataset) -> str:
    if task_of(dataset) == CAPTIONING.name:
        return CIDER
    if dataset.format == "pope" or dataset.question_type == "whether":
        return YES_NO
    return VQA_ACCURACY if dataset.format in ("vqav2", "textvqa") else NAMES_OBJECT


def image_id_of(sample_id: str) -> str:
    """Return the image's id, of the id of a caption or question about it; its own else."""
    image, parted, _ = sample_id.rpartition(ID_SEPARATOR)
    return image if parted else sample_id
