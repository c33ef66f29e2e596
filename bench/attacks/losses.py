"""The losses that attacks maximise, and which loss a suite's attack has."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.attacks.ascent import State
from bench.attacks.crops import cropped
from bench.attacks.loss import LogitLoss, Loss
from bench.core.errors import CellError
from bench.core.language_types import require_decoy_margin, require_prompted_model
from bench.core.types import Classifier, EmbeddingClassifier
from bench.suite.specs import AnyAttack
from bench.suite.specs.attacks import (
    ApgdCe,
    ApgdDlr,
    ApgdEmbedding,
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
        answers: Whether the model answers in words: the loss of an attack on whatever the model
            outputs is then that of a text.
    """
    match spec:
        case ApgdCe() if spec.rescale:
            return rescaled_cross_entropy
        case Cw():
            return margin(spec.kappa)
        case ApgdDlr():
            return dlr
        case ApgdT():
            return targeted_dlr
        case ApgdEmbedding():
            return EmbeddingDistance()
        case ApgdText():
            return TextLikelihood()
        case ApgdTextTargeted():
            return TextLikelihood(towards=True)
        case ValueFeatures():
            return ValueFeatureLean(spec.blocks, spec.crop)
        case _:
            return TextLikelihood() if answers else cross_entropy


@LogitLoss
def cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with the true class."""
    return F.cross_entropy(logits, labels, reduction="none")


@LogitLoss
def rescaled_cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits over their standard deviation per image.

    The deviation counts as a constant in the gradient. A model whose logits are so large that its
    softmax saturates has a cross-entropy and gradients of zero in float32 (Carlini and Wagner
    2016, arXiv:1607.04311, on defensive distillation); whatever factor it has put on its logits,
    this takes off again.
    """
    scale = logits.detach().std(dim=1, keepdim=True)
    tiny = torch.finfo(logits.dtype).tiny
    return cross_entropy(logits / scale.clamp_min(tiny), labels, targets)


def margin(kappa: float) -> LogitLoss:
    """Return Carlini and Wagner's margin (2017, arXiv:1608.04644, f6), to be maximised.

    The largest other logit minus the true one, capped at `kappa`: past that the gradient
    is zero and the image stays where it is.
    """

    def loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        return (_largest_other(logits, labels) - _at(logits, labels)).clamp(max=kappa)

    return LogitLoss(loss)


@LogitLoss
def dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020, arXiv:2003.01690, eq. 7).

    The margin over the gap between the first and the third logit, so at least 3 classes.
    """
    top = logits.topk(3, dim=1).values
    gap = top[:, 0] - top[:, 2]
    return (_largest_other(logits, labels) - _at(logits, labels)) / (gap + 1e-12)


def _targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Targeted DLR (Croce and Hein 2020, arXiv:2003.01690, eq. 8); at least 4 classes."""
    top = logits.topk(4, dim=1).values
    gap = top[:, 0] - (top[:, 2] + top[:, 3]) / 2
    return (_at(logits, targets) - _at(logits, labels)) / (gap + 1e-12)


targeted_dlr = LogitLoss(_targeted_dlr, ranks=False)  # targets differ between runs
ANY_MARGIN = margin(torch.inf)  # ranks a point that fools the model above all that do not


@dataclass(frozen=True, slots=True)
class EmbeddingDistance:
    """The cosine distance of an image's embedding from the clean image's, whatever the classes.

    FARE is trained against this (Schlarmann et al. 2024, arXiv:2402.12336, eq. 3) in squared L2 on
    embeddings that are not normalised. Here it is one less the cosine: classes are told by the
    direction alone, and where lengths are 1 the two differ by a factor of 2.
    """

    ranks = False  # of two points the further one need not be the one that changes the class

    def known(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return the clean images' embeddings `[b,d]`, of length 1; see `Loss`."""
        return {"reference": embedding(model).embed(images)}

    def clean_logits(self, model: Classifier, known: State) -> Tensor | None:
        """Return the logits of the known embeddings; see `Loss`."""
        return embedding(model).classify(known["reference"])

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return logits and losses; see `Loss`."""
        shown = embedding(model)
        embeddings = shown.embed(points)
        losses = 1 - (embeddings * state["reference"]).sum(dim=1)
        return shown.classify(embeddings), losses


@dataclass(frozen=True, slots=True)
class TextLikelihood:
    """How unlikely a model is to answer with a text, or how likely with `towards`.

    The text is a reference answer, and with `towards` what an attacker wants to be answered
    (Schlarmann and Hein 2023, arXiv:2308.10741). `state["label"]` names the row of the text.

    Attributes:
        towards: Whether the attacker wants the text to be the answer.
    """

    towards: bool = False
    ranks = True

    def known(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return nothing; see `Loss`."""
        return {}

    def clean_logits(self, model: Classifier, known: State) -> Tensor | None:
        """Return None; see `Loss`."""
        return None

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return log-likelihoods `[b,1]` in nats per token, and losses; see `Loss`."""
        likelihood = require_prompted_model(model).likelihood(points, state["label"])
        return likelihood[:, None], likelihood if self.towards else -likelihood


@dataclass(frozen=True, slots=True)
class ValueFeatureLean:
    """How much closer a random crop's value features are to the decoy than to the true object.

    Attributes:
        blocks: How many of the last blocks count.
        least: The smallest share of a crop's side.
    """

    blocks: int
    least: float
    ranks = False  # each step looks at another crop

    def known(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return the seeds `[b]` of the images' crops; see `Loss`."""
        return {"seed": torch.tensor(seeds, dtype=torch.long, device=images.device)}

    def clean_logits(self, model: Classifier, known: State) -> Tensor | None:
        """Return None; see `Loss`."""
        return None

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return losses `[b,1]` and `[b]`; see `Loss`."""
        views = cropped(points, state["seed"], state["iteration"], self.least)
        losses = require_decoy_margin(model).decoy_margin(views, state["label"], self.blocks)
        return losses[:, None], losses


def embedding(model: Classifier) -> EmbeddingClassifier:
    """Return the model, or raise CellError where it does not show its embeddings."""
    if not isinstance(model, EmbeddingClassifier):
        raise CellError("a loss of embeddings needs a model that shows them; this one does not")
    return model


def wrong_class(logits: Tensor, labels: Tensor, rank: int) -> Tensor:
    """Return per image the `rank`-th most likely of the wrong classes, `[b]`; 1 is first."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.topk(rank, dim=1).indices[:, -1]


def _at(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None]).squeeze(1)


def _largest_other(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
