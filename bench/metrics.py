"""What a number measures, by task, under the names that CLIP_benchmark uses."""

from bench.specs import Task

ACCURACY = "accuracy"
DEPTHS = (1, 5, 10)
CAPTION = "#"  # between an image's id and the number of its caption
# the first of a task stands for it in means, ranks and worst cases
_OF_TASK: dict[Task, tuple[str, ...]] = {
    "classification": (ACCURACY,),
    "retrieval": (
        *(f"text_retrieval_recall@{depth}" for depth in DEPTHS),  # an image finds its captions
        *(f"image_retrieval_recall@{depth}" for depth in DEPTHS),  # a caption finds its image
    ),
}


def metrics_of(task: Task) -> tuple[str, ...]:
    """Return the metrics of a task, the one that stands for it first."""
    return _OF_TASK[task]


def task_named(metric: str) -> str:
    """Return what a table calls the task of a metric."""
    return "zero-shot classification" if metric == ACCURACY else "zero-shot retrieval"


def suffix(metric: str) -> str:
    """Return what a leaderboard adds to a column's name: nothing for a task's first metric.

    `TR@5` is recall among captions, `IR@5` among images.
    """
    if metric in (first for first, *_ in _OF_TASK.values()):
        return ""
    kind, _, depth = metric.partition("_retrieval_recall@")
    return f" {kind[0].upper()}R@{depth}"


def stands_for_task(metric: str) -> bool:
    """Return whether a metric is the one that a task's means, ranks and worst cases are of."""
    return not suffix(metric)


def image_of(caption_id: str) -> str:
    """Return the id of the image that a caption is of."""
    return caption_id.rpartition(CAPTION)[0]


def counts_captions(metric: str) -> bool:
    """Return whether a metric counts captions that look for their image, rather than images."""
    return metric.startswith("image_retrieval")
