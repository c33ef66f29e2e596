"""The losses that attacks maximise, and the choice of the loss for an attack of a suite."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.attacks.ascent import State
from bench.attacks.crops import random_crops
from bench.attacks.loss import LogitLoss, Loss
from bench.core.errors import CellError
from bench.core.language_types import require_decoy_margin, require_prompted_model
from bench.core.types import Classifier, EmbeddingClassifier
from bench.suite.specs import AnyAttack
from bench.suite.specs.attacks import (
    ApgdCe,
    ApgdDlr,
    ApgdEmbedding,
    ApgdPm,
    ApgdT,
    ApgdText,
    ApgdTextTargeted,
    Cw,
    ValueFeatures,
)


def loss_of(spec: AnyAttack, *, answers: bool = False) -> Loss:
    """Return the loss that an attack of a suite maximises.

    Args:
        spec: The attack.
        answers: Whether the model answers in words. Attacks that otherwise maximise cross-entropy
            then maximise the negative log-likelihood of the reference answer.
    """
    match spec:
        case ApgdCe() if spec.rescale:
            return rescaled_cross_entropy
        case Cw():
            return margin(spec.kappa)
        case ApgdDlr():
            return dlr
        case ApgdPm():
            return probability_margin
        case ApgdT():
            return targeted_dlr
        case ApgdEmbedding():
            return EmbeddingDistance()
        case ApgdText():
            return TextLikelihood()
        case ApgdTextTargeted():
            return TextLikelihood(towards=True)
        case ValueFeatures():
            return ValueFeatureMargin(spec.blocks, spec.crop)
        case _:
            return TextLikelihood() if answers else cross_entropy


@LogitLoss
def cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with the true class."""
    return F.cross_entropy(logits, labels, reduction="none")


@LogitLoss
def rescaled_cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the logits divided by their standard deviation, per image.

    The gradient treats the standard deviation as a constant. If logits are so large that the
    softmax saturates, cross-entropy and its gradient are zero in float32 (Carlini and Wagner 2016,
    arXiv:1607.04311, on defensive distillation). The division removes any constant factor on the
    logits.
    """
    scale = logits.detach().std(dim=1, keepdim=True)
    tiny = torch.finfo(logits.dtype).tiny
    return cross_entropy(logits / scale.clamp_min(tiny), labels, targets)


def margin(kappa: float) -> LogitLoss:
    """Return the margin loss of Carlini and Wagner (2017, arXiv:1608.04644, f6), negated.

    The loss is min(kappa, largest other logit - true logit). Above `kappa` the gradient is zero,
    so the image no longer moves.
    """

    def loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        return (_largest_other(logits, labels) - _at(logits, labels)).clamp(max=kappa)

    return LogitLoss(loss)


@LogitLoss
def dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020, arXiv:2003.01690, eq. 7).

    The margin divided by the gap between the largest and the third largest logit; at least 3
    classes.
    """
    top = logits.topk(3, dim=1).values
    gap = top[:, 0] - top[:, 2]
    return (_largest_other(logits, labels) - _at(logits, labels)) / (gap + 1e-12)


@LogitLoss
def probability_margin(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Probability margin (Xie et al. 2025, arXiv:2411.15210), plus 1.

    The margin is the largest probability of a wrong class minus the probability of the true class.
    1 minus the true probability is computed as the sum of the wrong probabilities. So neither the
    loss nor its gradient is rounded to a constant where the true probability rounds to 1.
    """
    wrong = logits.softmax(dim=1).scatter(1, labels[:, None], 0.0)
    return wrong.amax(dim=1) + wrong.sum(dim=1)


def _targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Targeted DLR (Croce and Hein 2020, arXiv:2003.01690, eq. 8); at least 4 classes."""
    top = logits.topk(4, dim=1).values
    gap = top[:, 0] - (top[:, 2] + top[:, 3]) / 2
    return (_at(logits, targets) - _at(logits, labels)) / (gap + 1e-12)


targeted_dlr = LogitLoss(_targeted_dlr, ranks=False)  # runs have different targets
ANY_MARGIN = margin(torch.inf)  # positive only where the model is wrong


@dataclass(frozen=True, slots=True)
class EmbeddingDistance:
    """Cosine distance between the embeddings of the perturbed and the clean image.

    It ignores the classes. FARE is trained against the squared L2 distance of embeddings that are
    not normalised (Schlarmann et al. 2024, arXiv:2402.12336, eq. 3). This loss is 1 - cosine,
    because only the direction of an embedding determines the class. For embeddings of norm 1 the
    squared L2 distance is twice this loss.
    """

    ranks = False  # a larger distance need not change the class

    def precompute(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return the clean images' embeddings `[b,d]`, of norm 1; see `Loss`."""
        return {"reference": embedding_classifier(model).embed(images)}

    def clean_logits(self, model: Classifier, precomputed: State) -> Tensor | None:
        """Return the logits of the clean images' embeddings; see `Loss`."""
        return embedding_classifier(model).classify(precomputed["reference"])

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return logits and losses; see `Loss`."""
        classifier = embedding_classifier(model)
        embeddings = classifier.embed(points)
        losses = 1 - (embeddings * state["reference"]).sum(dim=1)
        return classifier.classify(embeddings), losses


@dataclass(frozen=True, slots=True)
class TextLikelihood:
    """Log-likelihood of a text as the model's answer, or its negative.

    An untargeted attack maximises the negative log-likelihood of a reference answer. A targeted
    attack (`towards`) maximises the log-likelihood of the target answer (Schlarmann and Hein 2023,
    arXiv:2308.10741). `state["label"]` has the row of each image's text.

    Attributes:
        towards: Whether the text is the attacker's target answer.
    """

    towards: bool = False
    ranks = True

    def precompute(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return nothing; see `Loss`."""
        return {}

    def clean_logits(self, model: Classifier, precomputed: State) -> Tensor | None:
        """Return None; see `Loss`."""
        return None

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return log-likelihoods `[b,1]` in nats per token, and losses; see `Loss`."""
        likelihood = require_prompted_model(model).likelihood(points, state["label"])
        return likelihood[:, None], likelihood if self.towards else -likelihood


@dataclass(frozen=True, slots=True)
class ValueFeatureMargin:
    """The loss of V-Attack: cos(values, decoy) - cos(values, true object), on a random crop.

    Attributes:
        blocks: Number of last transformer blocks whose value features are used.
        least: Smallest share of the image's height and width that a crop covers, in (0,1].
    """

    blocks: int
    least: float
    ranks = False  # each step uses another crop, so losses are not comparable

    def precompute(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return the seeds `[b]` of the images' crops; see `Loss`."""
        return {"seed": torch.tensor(seeds, dtype=torch.long, device=images.device)}

    def clean_logits(self, model: Classifier, precomputed: State) -> Tensor | None:
        """Return None; see `Loss`."""
        return None

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return losses `[b,1]` and `[b]`; see `Loss`."""
        views = random_crops(points, state["seed"], state["iteration"], self.least)
        losses = require_decoy_margin(model).decoy_margin(views, state["label"], self.blocks)
        return losses[:, None], losses


def embedding_classifier(model: Classifier) -> EmbeddingClassifier:
    """Return the model; raise CellError if it has no embeddings."""
    if not isinstance(model, EmbeddingClassifier):
        raise CellError(
            "the attack's loss needs image embeddings, but the attacked model only returns logits; "
            "use an attack on logits, or a model with `embed` and `classify`"
        )
    return model


def _at(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None]).squeeze(1)


def _largest_other(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
