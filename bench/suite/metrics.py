"""What a number measures, by task, under the names that CLIP_benchmark uses."""

from bench.suite.specs import DatasetSpec, LanguageDataset, Task, task_of

ACCURACY = "accuracy"
VQA_ACCURACY = "vqa_accuracy"  # agreement with annotators, a fraction per question
YES_NO = "yes_no_accuracy"  # POPE's
NAMES = "names_object"  # whether what is said still names the true object
CIDER = "cider"  # CIDEr-D per caption, 0 to 10
_RECALL = "_retrieval_recall@"
DEPTHS = (1, 5, 10)
CAPTION = "#"  # between an image's id and the number of its caption, or of what it is asked
# the first of a task stands for it in means, ranks and worst cases
_OF_TASK: dict[Task, tuple[str, ...]] = {
    "classification": (ACCURACY,),
    "retrieval": (
        *(f"text{_RECALL}{depth}" for depth in DEPTHS),  # an image finds its captions
        *(f"image{_RECALL}{depth}" for depth in DEPTHS),  # a caption finds its image
    ),
}


def metrics_of(dataset: DatasetSpec) -> tuple[str, ...]:
    """Return the metrics of a dataset, the one that stands for its task first."""
    if isinstance(dataset, LanguageDataset):
        return (_of_language(dataset),)
    return _OF_TASK[task_of(dataset)]


def worded(metric: str) -> bool:
    """Return whether a metric is of answers in words."""
    return metric in (VQA_ACCURACY, YES_NO, NAMES, CIDER)


def _of_language(dataset: LanguageDataset) -> str:
    if task_of(dataset) == "captioning":
        return CIDER
    if dataset.format == "pope" or dataset.asked == "whether":
        return YES_NO
    return VQA_ACCURACY if dataset.format in ("vqav2", "textvqa") else NAMES


def highest(metric: str) -> float:
    """Return the best score that an image can have."""
    return 10.0 if metric == CIDER else 1.0


def graded(metric: str) -> bool:
    """Return whether an image's score may be more than right or wrong."""
    return metric in (VQA_ACCURACY, CIDER)


def task_named(metric: str) -> str:
    """Return what a table calls the task of a metric."""
    if metric == ACCURACY:
        return "zero-shot classification"
    if metric == CIDER:
        return "captioning"
    return "zero-shot retrieval" if _RECALL in metric else "visual question answering"


def suffix(metric: str) -> str:
    """Return what a leaderboard adds to a column's name: nothing for a task's first metric.

    `TR@5` is recall among captions, `IR@5` among images.
    """
    kind, further, depth = metric.partition(_RECALL)
    if not further or metric in (first for first, *_ in _OF_TASK.values()):
        return ""
    return f" {kind[0].upper()}R@{depth}"


def stands_for_task(metric: str) -> bool:
    """Return whether a metric is the one that a task's means, ranks and worst cases are of."""
    return not suffix(metric)


def image_of(sample_id: str) -> str:
    """Return the id of the image that a caption is of, or a question about; its own else."""
    image, parted, _ = sample_id.rpartition(CAPTION)
    return image if parted else sample_id


def shares_images(metric: str) -> bool:
    """Return whether several of the answers that a metric counts may be about one image."""
    return counts_captions(metric) or metric in (VQA_ACCURACY, YES_NO, NAMES)


def counts_captions(metric: str) -> bool:
    """Return whether a metric counts captions that look for their image, rather than images."""
    return metric.startswith("image_retrieval")
