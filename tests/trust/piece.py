"""What a piece of the gallery is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.core.types import Classifier
from bench.suite.specs import AnyAttack, Pgd
from bench.trust.battery import CHECKS, Check
from bench.trust.defence_parts import DefenceParts

PGD = Pgd(kind="pgd", eps=("0",), steps=5)


@dataclass(frozen=True)
class Piece:
    """A model of the gallery.

    Attributes:
        what: What it does, in words.
        make: Wraps the embedded CLIP's classifier.
        causes: The checks that name what is wrong; each must fail, or warn where it does no
            more. None where it is honest.
        attack: What its number was reported with.
        eps: The radius, in 255ths.
        on_base: Whether the reported number is for images crafted on the undefended CLIP.
        parts: Takes the model apart, if it is behind a test-time defence.
        checks: The checks that are made.
    """

    what: str
    make: Callable[[Classifier], Classifier]
    causes: tuple[str, ...] = ()
    attack: AnyAttack = PGD
    eps: int = 1
    on_base: bool = False
    parts: Callable[[], DefenceParts] | None = None
    checks: Mapping[str, Check] = field(default_factory=lambda: CHECKS)
