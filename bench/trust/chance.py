"""Where a model does no better than one answer for all images, there is nothing to defend."""

from bench.trust.findings import Finding
from bench.trust.significance import DOUBT, binomial_tail
from bench.trust.subject import Effort, Subject, logits_of

LEARNT = (
    0.2  # of the way from one answer for all to all right: who is that far has learnt something
)


def chance(subject: Subject, effort: Effort) -> Finding:
    """Clean images are right more often than the most frequent class alone would have it.

    It is clean accuracy that counts: under attack an honest model may fall below chance. A warning
    takes both: no more right than by that one answer, and so few that a model which is `LEARNT` of
    the way from there to all right would hardly have so few (exact binomial test).
    """
    answers = logits_of(subject, subject.images).argmax(dim=1)
    right, count = int((answers == subject.labels).sum()), len(answers)
    constant = int(subject.labels.bincount().max())
    least = (constant + LEARNT * (count - constant)) / count
    # so few right are so many wrong
    p = binomial_tail(count - right, count, 1 - least)
    different = len(answers.unique())
    return Finding(
        "chance",
        "warn" if right <= constant and p < DOUBT else "pass",
        f"{right} of {count} clean images are right, {constant} by one answer for all; "
        f"the model gives {different} different answers",
        {"right": right, "constant": constant, "images": count, "answers": different},
    )
