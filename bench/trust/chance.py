"""Clean accuracy compared with always answering the most frequent class."""

from bench.core.errors import CellSkip
from bench.trust.findings import Finding
from bench.trust.significance import DOUBT, FAIL, binomial_tail
from bench.trust.subject import Effort, Subject, logits_of

# of the way from the constant answer to all right: a model this far has learnt something
LEARNT = 0.2


def chance(subject: Subject, effort: Effort) -> Finding:
    """Clean accuracy is better than always answering the most frequent class.

    Only clean accuracy counts: under attack an honest model may fall below chance. The check warns
    if accuracy is at most that of the constant answer and significantly (exact binomial test) below
    the accuracy that lies `LEARNT` of the way from the constant answer to all right. It fails if
    the model also gives one answer for all images: no attack can change such an answer.
    """
    answers = logits_of(subject, subject.images).argmax(dim=1)
    right, count = int((answers == subject.labels).sum()), len(answers)
    constant = int(subject.labels.bincount().max())
    if constant == count:
        raise CellSkip(f"all {count} images have one class")
    least = (constant + LEARNT * (count - constant)) / count
    # `right` or fewer right is the same as `count - right` or more wrong
    p = binomial_tail(count - right, count, 1 - least)
    different = len(answers.unique())
    low = right <= constant and p < DOUBT
    return Finding(
        "chance",
        "fail" if low and different == 1 and p < FAIL else "warn" if low else "pass",
        f"{right} of {count} clean images are right; always answering the most frequent class gets "
        f"{constant} right; the model gives {different} different answers",
        {"right": right, "constant": constant, "images": count, "answers": different},
        p if right <= constant else 1.0,
    )
