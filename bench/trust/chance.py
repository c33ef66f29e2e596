"""Clean accuracy compared with always answering the most frequent class."""

from bench.trust.findings import Finding
from bench.trust.significance import DOUBT, binomial_tail
from bench.trust.subject import Effort, Subject, logits_of

# of the way from the constant answer to all right: a model this far has learnt something
LEARNT = 0.2


def chance(subject: Subject, effort: Effort) -> Finding:
    """Clean accuracy is better than always answering the most frequent class.

    Only clean accuracy counts: under attack an honest model may fall below chance. The check warns
    if accuracy is at most that of the constant answer and significantly (exact binomial test) below
    the accuracy that lies `LEARNT` of the way from the constant answer to all right.
    """
    answers = logits_of(subject, subject.images).argmax(dim=1)
    right, count = int((answers == subject.labels).sum()), len(answers)
    constant = int(subject.labels.bincount().max())
    least = (constant + LEARNT * (count - constant)) / count
    # `right` or fewer right is the same as `count - right` or more wrong
    p = binomial_tail(count - right, count, 1 - least)
    different = len(answers.unique())
    return Finding(
        "chance",
        "warn" if right <= constant and p < DOUBT else "pass",
        f"{right} of {count} clean images are right; always answering the most frequent class gets "
        f"{constant} right; the model gives {different} different answers",
        {"right": right, "constant": constant, "images": count, "answers": different},
    )
