"""Compares a model's differentiable preprocessing and its likelihoods with transformers' own."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bench.core.errors import CellError
from bench.models.batch_size import out_of_memory
from bench.models.language.answering_model import LanguageModel
from bench.models.language.pixels import Pixels

TOLERANCE = 1e-6  # of a normalised pixel
_NATS = {torch.float32: 1e-2, torch.bfloat16: 0.5, torch.float16: 0.1}  # of a token; rounding
_QUESTIONS = ("What is in the image?", "Is there a dog in the image? Answer yes or no.")
_TOKENS = 6
_SIZES = ((224, 224), (100, 260), (61, 37))  # height and width: square, wide, tall and small


def verify_pixels(pixels: Pixels) -> str:
    """Compare differentiable preprocessing with the processor's, and return what was found.

    The images are noise, and black and white noise, for which resizing overshoots most.

    Raises:
        ValueError: They differ by more than `TOLERANCE`, or pixels have no gradient.
    """
    count, largest = 0, 0.0
    for images in _images():
        theirs = pixels.processed(list(images))
        ours = pixels(images.float() / 255)
        count += len(images)
        largest = max(largest, *(_difference(ours[name], theirs[name]) for name in theirs))
    if not largest <= TOLERANCE:
        raise ValueError(
            f"the differentiable preprocessing differs from the processor's by {largest:.3g} on "
            f"images of noise; allowed: {TOLERANCE:g}. The processor resizes images in another way"
        )
    _require_gradient(pixels)
    return f"verified on {count} images, largest difference {largest:.1g}"


def verify_answers(model: LanguageModel, name: str) -> None:
    """Check that answers have the likelihoods with which the model generates them in a batch.

    A family that is not known may mark the tokens of answers or of padding in its own way, or read
    answers both ways. Then likelihoods of a given answer would be wrong.

    Raises:
        CellError: The likelihoods of a token differ by more than rounding, or the model cannot be
            called like the known families.
    """
    parameter = next(model.parameters())
    images = (next(_images()).float() / 255).to(parameter.device)
    try:
        with torch.no_grad():
            largest = max(_gaps(model, images))
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if out_of_memory(error):
            raise
        raise CellError(
            f"{name}: this family cannot be called like the known ones: {error}"
        ) from error
    if not largest <= _NATS[parameter.dtype]:
        raise CellError(
            f"{name}: the likelihood of an answer's token differs by {largest:.3g} nats from that "
            f"in generation; allowed: {_NATS[parameter.dtype]:g}"
        )


def _gaps(model: LanguageModel, images: Tensor) -> Iterator[float]:
    """Yield, per image, how far the likelihoods of its answer's tokens are from generation's."""
    network: Any = model.network
    size = images.shape[-2], images.shape[-1]
    rows = [model.chat.inputs(question, size) for question in _QUESTIONS]
    given = model.inputs(rows, images, left=True)
    found = network.generate(
        **given, max_new_tokens=_TOKENS, output_logits=True, return_dict_in_generate=True
    )
    answers = found.sequences[:, given["input_ids"].shape[1] :]
    values = torch.stack(found.logits, dim=1).float().log_softmax(dim=-1)
    theirs = values.gather(-1, answers[..., None]).squeeze(-1)
    for at, question in enumerate(_QUESTIONS):
        ids = answers[at].tolist()
        ends = [place + 1 for place, token in enumerate(ids) if token in model.chat.ends]
        count = ends[0] if ends else len(ids)  # what follows the end is padding
        ours = model.token_likelihoods(images[at : at + 1], [question], [ids[:count]])[0]
        yield _difference(ours, theirs[at, :count])


def _images() -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for size in _SIZES:
        noise = torch.randint(0, 256, (2, 3, *size), generator=generator, dtype=torch.uint8)
        noise[1] = 255 * (noise[1] > 127)
        yield noise


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference; infinity for other shapes, or where there is no number."""
    if ours.shape != theirs.shape:
        return math.inf
    return float((ours.double() - theirs.double()).abs().nan_to_num(nan=math.inf).max())


def _require_gradient(pixels: Pixels) -> None:
    *_, smallest = _images()
    images = (smallest[:1].float() / 255).requires_grad_()
    with torch.enable_grad():
        found = pixels(images)
        values = [value for value in found.values() if value.requires_grad]
        total = sum(value.double().square().sum() for value in values)
    gradient = torch.autograd.grad(total, images)[0] if isinstance(total, Tensor) else None
    if gradient is None or not bool(gradient.any()):
        raise ValueError("the image processor's result has no gradient with respect to pixels")
