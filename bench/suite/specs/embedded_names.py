"""The embedded test sets, by name."""

from typing import Literal, get_args

EmbeddedName = Literal["cifar10", "cifar100", "fashion-mnist", "digits"]
EMBEDDED: tuple[str, ...] = get_args(EmbeddedName)
EMBEDDED_SUBSET = "an embedded subset"  # how such a dataset deviates from the published one
