"""Models made of other models of the suite; they share their weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.core.errors import CellError
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel
from bench.models.language import LanguageModel
from bench.suite.specs import GraftModel, RAdaptModel
from radapt import Anchor, PerGrid, adapt, extract_anchor, resize_anchor
from radapt.graft import graft
from radapt.grids import grids_of

ModelWithTower = ClipModel | LanguageModel


def build_radapt(spec: RAdaptModel, context: BuildContext) -> ModelWithTower:
    """Build R-Adapt over a vision tower, in the units of that model's own normalisation.

    The tower is a CLIP's or SigLIP's, or that inside a vision-language model. The anchor comes
    first: where memory is short, whose tower it is of may be let go of before the base comes.

    Raises:
        CellError: The anchor is missing or does not fit, or there is no vision tower.
    """
    anchor: Anchor | PerGrid
    with _errors_explained(spec.base):
        if spec.anchor.white is not None:
            anchor = _white_anchor(model_with_tower(spec.anchor.white, context))
        else:
            anchor = Anchor.load(str(spec.anchor.file))
    base = model_with_tower(spec.base, context)
    how = base.preprocessing
    with _errors_explained(spec.base):
        if isinstance(anchor, Anchor):
            anchor = replace(anchor, value=anchor.value.to(context.device))
            anchor = resize_anchor(anchor, base.tower) if spec.anchor.resize else anchor
        adapted = adapt(
            base.tower,
            anchor,
            alpha=spec.alpha,
            cutoff=spec.cutoff,
            mix=spec.mix,
            cutoff_at=None if spec.cutoff_at == "image" else spec.cutoff_at,
            mean=how.mean,
            std=how.std,
        )
    if isinstance(base, LanguageModel) and spec.alpha:
        return base.with_tower(adapted, anchor=f"{anchor.origin}, on {anchor.tower}")
    return base.with_tower(adapted)


@contextmanager
def _errors_explained(base: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise CellError(f"R-Adapt over {base!r}: {error}") from error


def _white_anchor(donor: ModelWithTower) -> Anchor | PerGrid:
    """Return what a model's tower answers to a white image, at each size where that matters."""
    how, units = grids_of(donor.tower), donor.preprocessing
    if how is not None and how.side is not None:
        return PerGrid(donor.tower, mean=units.mean, std=units.std)
    return extract_anchor(donor.tower, mean=units.mean, std=units.std)


def build_graft(spec: GraftModel, context: BuildContext) -> ModelWithTower:
    """Build a model with some modules of another's tower.

    Raises:
        CellError: The two do not fit, or there is no vision tower.
    """
    base, donor = model_with_tower(spec.base, context), model_with_tower(spec.donor, context)
    try:
        return base.with_tower(graft(base.tower, donor.tower, spec.modules))
    except (ValueError, TypeError) as error:
        raise CellError(f"a graft of {spec.donor!r} on {spec.base!r}: {error}") from error


def model_with_tower(name: str, context: BuildContext) -> ModelWithTower:
    """Return a model of the suite by its name.

    Raises:
        CellError: It has no vision tower.
    """
    model = context.refer(name)
    if not isinstance(model, ModelWithTower):
        raise CellError(f"a model with a vision tower is needed; {name!r} is another kind")
    return model
