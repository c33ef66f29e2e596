"""Files of weights whose normalisation or activation neither the file nor the suite tells."""

from bench.core.errors import CellError
from bench.suite.specs.model_base import OpenClipFile


def refuse_undecided(source: OpenClipFile) -> None:
    """Raise an error with the lines that the suite needs, if other values than CLIP's are known.

    So weights under one name that are normalised in two ways always have two identities: a file
    has its `preprocess` in the identity unless all tags of the name have CLIP's values.
    """
    from radapt.file_settings import (  # here, since it imports torch
        undecided_activations,
        undecided_normalisations,
    )

    wanted = []
    if not source.preprocess and (known := undecided_normalisations(source.model)):
        lines = {
            f"preprocess: {{mean: {list(mean)}, std: {list(std)}}}": tags
            for (mean, std), tags in known.items()
        }
        wanted.append(f"the normalisation of images; add {_choices(lines)}")
    if not source.activation and (activations := undecided_activations(source.model)):
        lines = {f"activation: {name}": tags for name, tags in activations.items()}
        wanted.append(f"the activation; add {_choices(lines)}")
    if wanted:
        raise CellError(
            f"{source.path}: weights of {source.model} in a file do not tell "
            f"{', nor '.join(wanted)}"
        )


def _choices(lines: dict[str, list[str]]) -> str:
    """Return lines of a suite, each with up to two pretrained tags of open_clip that have it."""
    parts = []
    for line, tags in lines.items():
        more = ", ..." if len(tags) > 2 else ""
        parts.append(f"`{line}`" + (f" (as {', '.join(tags[:2])}{more})" if tags else ""))
    return " or ".join(parts)
