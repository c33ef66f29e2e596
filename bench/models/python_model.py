"""Models that the user defines in Python."""

from torch import nn

from bench.core.errors import CellError
from bench.core.module_files import import_module
from bench.core.types import ImageTextModel
from bench.models.build_context import BuildContext
from bench.suite.specs import PythonModel

_EMBEDDING_MEMBERS = ("encode_image", "encode_text", "logit_scale")
_ANSWERING_MEMBERS = ("log_likelihood", "visual_tokens", "answer")


def build_python_model(spec: PythonModel, context: BuildContext) -> ImageTextModel:
    """Import the factory that the suite names, and call it.

    Raises:
        CellError: `--trust` is not set, the factory cannot be imported, or the returned object
            lacks a member that models need.
    """
    if not context.trust:
        raise CellError(f"{spec.target} is code named by the suite; run with --trust to import it")
    module, _, attribute = spec.target.partition(":")
    try:
        imported = import_module(module, spec.module_folders)
    except ImportError as error:
        raise CellError(f"{spec.target}: {error}") from error
    factory = getattr(imported, attribute, None)
    if factory is None:
        raise CellError(f"{spec.target}: module {module!r} has no attribute {attribute!r}")
    model = factory(device=context.device, **spec.args)
    for member in _ANSWERING_MEMBERS if spec.answers else _EMBEDDING_MEMBERS:
        if not hasattr(model, member):
            raise CellError(
                f"{spec.target} returned a {type(model).__name__} without {member}; needed: "
                f"{', '.join(_ANSWERING_MEMBERS if spec.answers else _EMBEDDING_MEMBERS)}"
            )
    if isinstance(model, nn.Module):
        model.eval().requires_grad_(False)
    return model  # type: ignore[no-any-return]
