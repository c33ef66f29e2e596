"""Models that are made from other models of the suite and share their weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.core.errors import CellError
from bench.core.suite_paths import find_path
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel
from bench.models.language import LanguageModel
from bench.suite.specs import GraftModel, RAdaptModel
from radapt import Anchor, PerGrid, adapt, extract_anchor, resize_anchor
from radapt.graft import graft
from radapt.grids import grids_of

ModelWithTower = ClipModel | LanguageModel


def build_radapt(spec: RAdaptModel, context: BuildContext) -> ModelWithTower:
    """Build an R-Adapt model over the vision tower of a base model.

    The base is a CLIP, a SigLIP or a vision-language model. The anchor is made before the base is
    loaded, so that the anchor's model can be unloaded first if memory is short.

    Raises:
        CellError: The anchor is missing or does not fit, or the base has no vision tower.
    """
    anchor: Anchor | PerGrid
    with _errors_explained(spec.base):
        if spec.anchor.file is not None:
            anchor = Anchor.load(find_path(spec.anchor.file))
        else:
            anchor = _white_anchor(model_with_tower(str(spec.anchor.white), context))
    base = model_with_tower(spec.base, context)
    normalisation = base.preprocessing
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
            mean=normalisation.mean,
            std=normalisation.std,
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
    """Return the tower's outputs on a white image, one per image size if the size changes them."""
    grids, normalisation = grids_of(donor.tower), donor.preprocessing
    if grids is not None and grids.side is not None:
        return PerGrid(donor.tower, mean=normalisation.mean, std=normalisation.std)
    return extract_anchor(donor.tower, mean=normalisation.mean, std=normalisation.std)


def build_graft(spec: GraftModel, context: BuildContext) -> ModelWithTower:
    """Build a base model in which some modules of the tower come from a donor model.

    Raises:
        CellError: The towers do not match, or a model has no vision tower.
    """
    base, donor = model_with_tower(spec.base, context), model_with_tower(spec.donor, context)
    try:
        return base.with_tower(graft(base.tower, donor.tower, spec.modules))
    except (ValueError, TypeError) as error:
        raise CellError(f"a graft of {spec.donor!r} on {spec.base!r}: {error}") from error


def model_with_tower(name: str, context: BuildContext) -> ModelWithTower:
    """Return the model of the suite with this name.

    Raises:
        CellError: The model has no vision tower.
    """
    model = context.refer(name)
    if not isinstance(model, ModelWithTower):
        raise CellError(
            f"{name!r} has no vision tower; allowed: a CLIP, a SigLIP or a vision-language model"
        )
    return model
