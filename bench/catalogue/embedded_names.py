"""Names of the embedded test sets."""

from typing import Literal, get_args

EmbeddedName = Literal["cifar10", "cifar100", "fashion-mnist", "digits"]
EMBEDDED: tuple[str, ...] = get_args(EmbeddedName)
EMBEDDED_SUBSET = "an embedded subset"  # their `deviation` from the published sets
