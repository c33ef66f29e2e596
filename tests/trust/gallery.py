"""Broken defences, each a few lines around the embedded CLIP, and honest models beside them.

`python -m tests.trust.gallery` writes what the trust battery says of each into docs/trust.md.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.errors import CellError
from bench.core.types import Budget, Classifier
from bench.models import build_model
from bench.models.batch_size import Batch
from bench.models.zero_shot import ZeroShotClassifier
from bench.suite.specs import Anchor, Fgsm, Pgd, RAdaptModel
from bench.trust.battery import examine
from bench.trust.conclusions import explain
from bench.trust.reported_number import Reported
from bench.trust.subject import Effort, Subject, attack_points, correct, surviving_images
from tests.trust.embedded import CPU, IMAGES, classifier, data, nano
from tests.trust.gallery_defences import DEFENCES
from tests.trust.piece import Piece

LIGHT = Effort(images=IMAGES, steps=5, restarts=3, draws=10, queries=50, directions=10)
DOCS = Path(__file__).parents[2] / "docs" / "trust.md"
FGSM = Fgsm(kind="fgsm", eps=("0",))
TIMID = Pgd(kind="pgd", eps=("0",), steps=1, step=0.05, random_start=False)
START, END = "<!-- gallery -->\n", "<!-- end of gallery -->\n"


def radapt() -> ZeroShotClassifier:
    spec = RAdaptModel(
        kind="radapt", base="clip", anchor=Anchor(white="clip"), alpha=0.5, cutoff=80
    )
    return ZeroShotClassifier(build_model(spec, CPU, nano), classifier("clip").head)


def rounding(model: Classifier) -> Classifier:
    """Keep 3 bits of each pixel."""
    return lambda x: model((x * 7).round() / 7)


def jpeg(model: Classifier) -> Classifier:
    """Round the cosine transform of blocks of 8 pixels, as JPEG does."""
    place = torch.arange(8)
    basis = torch.cos(math.pi * (2 * place[None] + 1) * place[:, None] / 16) / 2
    basis[0] /= math.sqrt(2)

    def forward(x: Tensor) -> Tensor:
        blocks = x.unfold(2, 8, 8).unfold(3, 8, 8)
        found = basis @ blocks @ basis.T
        table = 0.02 * (1 + place[:, None] + place[None])
        kept = basis.T @ ((found / table).round() * table) @ basis
        return model(kept.permute(0, 1, 2, 4, 3, 5).reshape(x.shape))

    return forward


def resizing(model: Classifier) -> Classifier:
    """Shrink to a random size and back (Xie et al. 2018, arXiv:1711.01991)."""

    def forward(x: Tensor) -> Tensor:
        size = int(torch.randint(24, 32, ()))
        return model(F.interpolate(F.interpolate(x, (size, size)), (32, 32)))

    return forward


def dropout(model: Classifier) -> Classifier:
    """Drop pixels at test time."""
    return lambda x: model(F.dropout(x, 0.1, training=True))


def scaled(model: Classifier) -> Classifier:
    return lambda x: 1e4 * model(x)


def saturated(model: Classifier) -> Classifier:
    """Answer with a softmax at a high temperature (defensive distillation, arXiv:1511.04508)."""
    return lambda x: F.softmax(100 * model(x), dim=1)


def detached(model: Classifier) -> Classifier:
    return lambda x: model(x.detach() + 0 * x)


def no_gradient(model: Classifier) -> Classifier:
    return lambda x: model(x.detach())


def winners(model: Classifier) -> Classifier:
    """Keep the k largest of each patch's pixels, and the rest at a level (arXiv:1905.10510)."""

    def forward(x: Tensor) -> Tensor:
        blocks = F.unfold(x, 4, stride=4).transpose(1, 2)
        least = blocks.topk(24, dim=2).values[:, :, -1:]
        kept = torch.where(blocks >= least, blocks, blocks * 0.8)
        return model(F.fold(kept.transpose(1, 2), 32, 4, stride=4))

    return forward


def batches(model: Classifier) -> Classifier:
    """Centre logits over their batch, as BatchNorm in training mode centres features."""

    def forward(x: Tensor) -> Tensor:
        logits = model(x)
        return logits - logits.mean(dim=0) if len(x) > 1 else logits

    return forward


def trap(model: Classifier) -> Classifier:
    """Turn gradients round at the values that 8-bit pixels have."""
    wave = 2 * math.pi * 255
    return lambda x: model(x - 1.2 * torch.sin(wave * x) / wave)


def memory(model: Classifier) -> Classifier:
    """Look up the nearest test image, and ask the model where none is near."""
    images, labels, classes, _ = data()
    known, answers = images[:IMAGES].flatten(1), F.one_hot(labels[:IMAGES], len(classes)).float()

    def forward(x: Tensor) -> Tensor:
        far = torch.cdist(x.flatten(1), known, p=torch.inf)
        near = (far < 64 / 255).any(dim=1)
        found = 10 * answers[far.argmin(dim=1)] + 0 * x.flatten(1).sum(dim=1, keepdim=True)
        return torch.where(near[:, None], found, model(x))

    return forward


def in_place(model: Classifier) -> Classifier:
    """Brighten the caller's own images past white."""

    def forward(x: Tensor) -> Tensor:
        with torch.no_grad():
            x.mul_(1.02)
        return model(x)

    return forward


def not_numbers(model: Classifier) -> Classifier:
    """Add a root of zero: the logits are numbers, and their gradient is not."""
    return lambda x: model(x + (x - x).sqrt())


def brittle(model: Classifier) -> Classifier:
    """Scramble what lies between the values that 8-bit pixels have, with no gradient."""

    def forward(x: Tensor) -> Tensor:
        between = (x - (255 * x).round() / 255).detach()
        return model(x.detach() + 0 * x + 1000 * between)

    return forward


def constant(model: Classifier) -> Classifier:
    """Give the first class for whatever comes, with logits that still follow the image."""
    return lambda x: F.pad(model(x)[:, 1:], (1, 0), value=1000.0)


def smoothed(model: Classifier) -> Classifier:
    """Average the logits of three noisy copies (Cohen et al. 2019, arXiv:1902.02918)."""

    def forward(x: Tensor) -> Tensor:
        return torch.stack([model(x + 0.1 * torch.randn_like(x)) for _ in range(3)]).mean(dim=0)

    return forward


class Counting:
    """Gives every second call logits without a useful gradient."""

    def __init__(self, model: Classifier) -> None:
        self.model, self.calls = model, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.model(x if self.calls % 2 else x.detach() + 0 * x)


def honest(other: Callable[[], Classifier]) -> Callable[[Classifier], Classifier]:
    return lambda model: other()


GALLERY: dict[str, Piece] = {
    "CLIP": Piece("as it is", honest(lambda: classifier("clip"))),
    "FARE": Piece("as it is", honest(lambda: classifier("fare"))),
    "TeCoA": Piece("as it is", honest(lambda: classifier("tecoa"))),
    "TGA": Piece("as it is", honest(lambda: classifier("tga"))),
    "R-Adapt": Piece("over CLIP, attacked white-box", honest(radapt)),
    "rounding": Piece("pixels of 3 bits, no gradient", rounding, ("gradients",)),
    "jpeg": Piece("JPEG-like quantisation", jpeg, ("gradients",)),
    "resizing": Piece("a random resize", resizing, ("stochastic",)),
    "dropout": Piece("dropout at test time", dropout, ("stochastic",)),
    "scaled": Piece("logits times 1e4", scaled, ("saturation",)),
    "saturated": Piece("softmax at 100 times the scale", saturated, ("saturation",)),
    "detached": Piece(
        "a gradient of zero, at 16/255", detached, ("gradients", "transfer", "square"), eps=16
    ),
    "no gradient": Piece("no gradient at all", no_gradient, ("gradients",)),
    "NaN gradient": Piece("a root of zero before the model", not_numbers, ("gradients",)),
    "k winners": Piece("k-winner activations", winners, ("finite-differences",)),
    "batches": Piece("looks at its batch", batches, ("batch",)),
    "trap": Piece("stands against FGSM alone", trap, ("random-directions",), FGSM),
    "brittle": Piece("breaks by any change, at 4/255", brittle, ("gradients", "noise"), FGSM, 4),
    "timid": Piece("CLIP, by one small step, at 4/255", lambda m: m, ("more-steps",), TIMID, 4),
    "constant": Piece("one answer for all images", constant, ("chance",)),
    "smoothed": Piece("three noisy copies", smoothed, ("stochastic",)),
    "counting": Piece(
        "hides the gradient of every second call",
        Counting,
        ("saturation", "finite-differences", "random-directions"),
    ),
    "memory": Piece("has seen the test images", memory, ("held-out",)),
    "in place": Piece("leaves the box by writing on its input", in_place, ("box",)),
    **DEFENCES,
}


@cache
def subject(name: str) -> Subject:
    """Return a piece with the number that its authors would have reported."""
    piece = GALLERY[name]
    images, labels, _, _ = data()
    unknown = Reported(
        np.zeros(IMAGES, np.bool_), piece.attack.kind, piece.attack.gradients,
        piece.attack.passes, piece.on_base,
    )  # fmt: skip
    found = Subject(
        piece.make(classifier("clip")), images[:IMAGES], labels[:IMAGES], Budget(piece.eps / 255),
        tuple(range(IMAGES)), unknown, Batch(64), (("CLIP", classifier("clip")),),
        (images[IMAGES:], labels[IMAGES:]), defence=piece.parts() if piece.parts else None,
    )  # fmt: skip
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        robust = correct(found, images[:IMAGES])
        if piece.on_base:
            points = attack_points(found, piece.attack, model=classifier("clip"))
            robust &= correct(found, points)
        else:
            with suppress(CellError):  # with no gradient to follow, the clean number is reported
                robust = surviving_images(found, piece.attack, robust)
    return replace(found, reported=replace(unknown, robust=robust))


def row(name: str) -> str:
    """Return a line of the table: what a piece is, its number, and which checks say what."""
    piece = GALLERY[name]
    some = subject(name)
    findings = explain(list(examine(some, LIGHT, piece.checks)))

    def told(verdict: str) -> str:
        named = [found.check for found in findings if found.verdict == verdict]
        first = [f"**{check}**" for check in named if check in piece.causes]
        return ", ".join(first + [check for check in named if check not in piece.causes])

    cells = (
        name,
        piece.what,
        f"{some.reported.robust.mean():.0%}",
        told("fail"),
        told("warn"),
        told("remark"),
    )
    return f"| {' | '.join(cell or '–' for cell in cells)} |\n"


def table() -> str:
    head = "| model | what it does | reported | fail | warn | remark |\n|---|---|---|---|---|---|\n"
    return head + "".join(map(row, GALLERY))


if __name__ == "__main__":
    before, _, rest = DOCS.read_text("utf-8").partition(START)
    DOCS.write_text(f"{before}{START}{table()}{END}{rest.partition(END)[2]}", "utf-8")
