"""Test-time defences over the embedded CLIP, taken apart as the battery wants them."""

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
from bench.suite.specs.defences import DefenceSpec
from bench.suite.specs.model_base import DefenceModel, Gradient
from bench.trust.defence_parts import DefenceParts
from radapt.defences.clipure_cos import ClipureCos
from radapt.defences.defence import Base
from tests.trust.embedded import CPU, classifier, data, nano


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
