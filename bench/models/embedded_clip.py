"""The embedded nano models."""

from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel
from bench.models.open_clip_models import as_clip_model
from bench.suite.specs import NanoModel


def build_nano(spec: NanoModel, context: BuildContext) -> ClipModel:
    """Build an embedded nano model."""
    from bench.nano.nano_clip import load_pair

    return as_clip_model(*load_pair(spec.weights), context.device, context.resize)
