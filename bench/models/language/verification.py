"""Compares a model's differentiable preprocessing and its likelihoods with transformers' own."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bench.core.errors import CellError
from bench.models.language.answering_model import LanguageModel
from bench.models.language.pixels import Pixels

TOLERANCE = 1e-6  # of a normalised pixel
_NATS = {torch.float32: 1e-2, torch.bfloat16: 0.5, torch.float16: 0.1}  # of a token; rounding
_QUESTION, _TOKENS = "What is in the image?", 4
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
        if ours.keys() != theirs.keys():
            raise ValueError(f"the processor returns {', '.join(ours)}, not {', '.join(theirs)}")
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
    """Check that an answer has the likelihood with which the model generates it.

    A family that is not known may mark the tokens of answers in its own way, or read them both
    ways. Then likelihoods with the answer given would be wrong.

    Raises:
        CellError: The likelihoods of some token differ by more than rounding, or the model cannot
            be called like the known families.
    """
    network: Any = model.network
    parameter = next(model.parameters())
    images = (next(_images())[:1].float() / 255).to(parameter.device)
    size = images.shape[-2], images.shape[-1]
    try:
        given = model.inputs([model.chat.inputs(_QUESTION, size)], images, left=True)
        with torch.no_grad():
            found = network.generate(
                **given, max_new_tokens=_TOKENS, output_logits=True, return_dict_in_generate=True
            )
            ids = found.sequences[0, given["input_ids"].shape[1] :]
            theirs = torch.stack(found.logits)[:, 0].float().log_softmax(dim=-1)
            theirs = theirs.gather(1, ids[:, None])[:, 0]
            ours = model.token_likelihoods(images, [_QUESTION], [ids.tolist()])[0]
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CellError(
            f"{name}: this family cannot be called like the known ones: {error}"
        ) from error
    largest = float((ours - theirs).abs().max())
    if not largest <= _NATS[parameter.dtype]:
        raise CellError(
            f"{name}: the likelihood of an answer's token differs by {largest:.3g} nats from that "
            f"in generation; allowed: {_NATS[parameter.dtype]:g}"
        )


def _images() -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for size in _SIZES:
        noise = torch.randint(0, 256, (2, 3, *size), generator=generator, dtype=torch.uint8)
        noise[1] = 255 * (noise[1] > 127)
        yield noise


def _difference(ours: Tensor, theirs: Tensor) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    return float((ours.double() - theirs.double()).abs().max())


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
