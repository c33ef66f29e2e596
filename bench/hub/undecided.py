"""Files of weights whose normalisation or activation neither the file nor the suite tells."""

from bench.catalogue.weight_sources import OpenClipFile
from bench.core.errors import CellError


def refuse_undecided(source: OpenClipFile) -> None:
    """Raise an error with the lines that the suite needs, if other values than CLIP's are known.

    So weights under one name that are normalised in two ways always have two identities: a file
    has its `preprocess` in the identity unless all tags of the name have CLIP's values.
    """
    from radapt.file_settings import MeanStd, undecided  # here, since it imports torch

    def normalisation(value: MeanStd) -> str:
        mean, std = map(list, value)
        return f"preprocess: {{mean: {mean}, std: {std}}}"

    missing = undecided(
        source.model,
        None if source.preprocess else normalisation,
        None if source.activation else "activation: {}".format,
    )
    if missing:
        raise CellError(f"{source.path}: {missing}")
