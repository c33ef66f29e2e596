"""The gallery's test-time defences, over the embedded CLIP, with the attacks of their papers."""

from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor

from bench.core.types import Classifier
from bench.models import build_model
from bench.models.defended import DefendedModel
from bench.models.own_outputs import LogitsClassifier
from bench.models.zero_shot import ZeroShotClassifier
from bench.suite.specs import AnyAttack, Pgd
from bench.suite.specs.defences import DefenceSpec
from bench.suite.specs.model_base import DefenceModel, Gradient
from bench.trust.battery import CHECKS
from bench.trust.defence_parts import DefenceParts
from radapt.defences.clipure_cos import ClipureCos
from radapt.defences.defence import Base
from tests.trust.embedded import CPU, classifier, data, nano
from tests.trust.piece import PGD, Piece

AVERAGED = Pgd(kind="pgd", eps=("0",), steps=5, eot=8)
# for defences, whose passes are many: no long attack but that of `draws`
BRIEF = {
    name: CHECKS[name]
    for name in (
        *("gradients", "stochastic", "chance", "finite-differences", "cost", "non-adaptive"),
        *("no-effect", "cut-gradient", "transferred", "transfer", "draws"),
    )
}
UNAWARE = ("non-adaptive",)


def defended(spec: DefenceModel, gradient: Gradient | None = None) -> Classifier:
    """Return a defence as a classifier; its own gradient if None."""
    built = build_model(spec.model_copy(update={"gradient": gradient or spec.gradient}), CPU, nano)
    if not isinstance(built, DefendedModel):
        return LogitsClassifier(built, data()[2])
    head = classifier(spec.base).head
    return ZeroShotClassifier(built.with_classes(head) if built.needs_classes else built, head)


def spec_of(**entry: Any) -> DefenceModel:
    """Return the spec of a defence over the embedded CLIP."""
    spec: DefenceModel = TypeAdapter(DefenceSpec).validate_python({"base": "clip", **entry})
    return spec


def parts_of(spec: DefenceModel) -> DefenceParts:
    """Return the parts of a defence over an embedded CLIP."""
    own = spec.gradient or spec.gradients[0]
    others = {way: defended(spec, way) for way in spec.gradients if way != own}
    base = classifier(spec.base)
    return DefenceParts(spec.kind, base, spec.base, own, others, spec.random, base.model.tower)


class CutPurification(ClipureCos):
    """CLIPure-Cos whose steps count as constants in the gradient, as in the authors' code."""

    def embed(self, base: Base, images: Tensor) -> Tensor:
        """Return the same embeddings `[b,d]` as CLIPure-Cos."""
        assert base.embed_texts is not None
        given = base.embed(images)
        direction, length = F.normalize(given, dim=1), given.norm(dim=1, keepdim=True)
        target = F.normalize(base.embed_texts([self.prompts[0].replace("{c}", "")]), dim=1)
        for _ in range(self.steps):
            cosine = (direction * target).sum(dim=1, keepdim=True)
            uphill = F.normalize(target - cosine * direction, dim=1).detach()
            direction = F.normalize(direction + self.step * uphill, dim=1)
        return direction * length


def cut_purification() -> Classifier:
    """Return CLIPure-Cos as its authors attack it."""
    clip = classifier("clip")
    return ZeroShotClassifier(DefendedModel(clip.model, CutPurification(), "exact"), clip.head)


def parts_of_cut_purification() -> DefenceParts:
    """Return the parts of CLIPure-Cos as its authors attack it."""
    spec = spec_of(kind="clipure-cos")
    parts = parts_of(spec)
    return replace(parts, gradient="identity", others={"exact": defended(spec), **parts.others})


def defence(
    what: str, causes: tuple[str, ...], eps: int, attack: AnyAttack | None = None, **entry: Any
) -> Piece:
    """Return the piece of a test-time defence, attacked by images of the CLIP behind it.

    Args:
        what: What it does, in words.
        causes: The checks that name what is wrong.
        eps: The radius, in 255ths.
        attack: The attack through the defence, if its paper has one.
        **entry: The defence's entry of a suite.
    """
    spec = spec_of(**entry)
    return Piece(
        what, lambda _: defended(spec), causes, attack or PGD, eps, attack is None,
        lambda: parts_of(spec), BRIEF,
    )  # fmt: skip


DEFENCES: dict[str, Piece] = {
    "blur": defence("Gaussian blur, at 4/255", UNAWARE, 4, kind="gaussian-blur"),
    "median": defence("the median of pixels, at 2/255", UNAWARE, 2, kind="median-blur"),
    "3 bits": defence("rounding to 3 bits", (), 1, kind="bit-depth"),
    "JPEG": defence("JPEG of quality 75, at 4/255", (), 4, kind="jpeg"),
    "resize and pad": defence("resized and padded at random", (), 1, kind="resize-pad"),
    "noise": defence(
        "4 noisy copies", (), 1, AVERAGED, kind="noise-smoothing", sigma=0.1, draws=4
    ),
    "TTC": defence("a counterattack", (), 1, kind="ttc"),
    "anti-adversary": defence(
        "raises the confidence, at 4/255", ("cut-gradient", "transfer"), 4, PGD,
        kind="anti-adversary", gradient="identity",
    ),
    "CLIPure-Cos": Piece(
        "purifies the embedding; its gradient is cut", lambda _: cut_purification(),
        ("cut-gradient", "no-effect"), parts=parts_of_cut_purification, checks=BRIEF,
    ),
    "CSR": defence("spectral rectification, at 4/255", UNAWARE, 4, kind="csr"),
    "TTE": defence("10 mirror images and crops", (), 1, PGD, kind="tte"),
    "AGC": defence("8 perspectives, at 4/255", ("chance",), 4, kind="agc", views=8),
    "R-TPT": replace(
        defence(
            "a tuned prompt and 8 views", ("stochastic",), 1, kind="r-tpt",
            views=8, selected=0.25, neighbours=3,
        ),
        # `draws` takes minutes
        checks={name: check for name, check in BRIEF.items() if name != "draws"},
    ),
}  # fmt: skip
