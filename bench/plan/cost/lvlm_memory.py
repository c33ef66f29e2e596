"""What an attack on a vision-language model takes of a GPU's memory: an estimate, not measured.

Weights are frozen, and the gradient goes to the pixels. So of a linear layer nothing is kept for
the backward pass; kept are what attention, norms and activations need, with the kernels that torch
chooses for attention (`sdpa`, whose memory grows with tokens, not with their square, but for the
mask). What is counted per image:

* numbers kept of each token in each block, of the patches, and of the projector;
* the logits of the answer's tokens in single precision, three times: the backward pass begins with
  two more of their size;
* for one block, as much again as is kept of it: gradients that are alive at once.

With checkpointing a block keeps its input alone, and is computed anew when its gradient is due.
Not counted are what resizing keeps of the pixels (some megabytes), workspaces of kernels, what the
allocator loses between blocks, and the CUDA context; `SHARE` leaves room for them. Nor is it
counted that an attack in bfloat16 on a model in single precision keeps the weights that it casts,
half of them again, but fewer bytes per image; with checkpointing those of one block at a time.
"""

from dataclasses import dataclass

from bench.plan.cost.lvlm_size import Blocks, LvlmSize
from bench.plan.cost.lvlm_tokens import Tokens

GIB = 2**30
GPUS = (24, 48, 80)  # GiB
SHARE = 0.9  # of a GPU's memory that an attack may take; assumed
PROMPT, ANSWER = 64, 32  # tokens of a question in its template, and of an answer; assumed
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True, slots=True)
class Need:
    """Memory in bytes.

    Attributes:
        weights: Of the model.
        image: Of one image more, at a step of an attack.
        saving: Likewise, with checkpointing.
        cache: Of one image more while the model answers: keys and values, no gradient.
    """

    weights: int
    image: int
    saving: int
    cache: int

    def batch(self, gpu: int, *, checkpointing: bool) -> int:
        """Return the most images at once on a GPU of so many GiB, 0 where none fits.

        They are attacked and answered so many at a time.
        """
        room = int(SHARE * gpu * GIB) - self.weights
        step = self.saving if checkpointing else self.image
        return max(0, room // max(step, self.cache))


def need(size: LvlmSize, tokens: Tokens, precise: int, answer: int = ANSWER) -> Need:
    """Return what an attack takes.

    Args:
        size: Of the model.
        tokens: Of an image.
        precise: Bytes of a number: 2 in half precision.
        answer: Tokens of the answer.
    """
    length = tokens.text + PROMPT + answer
    logits = 3 * 4 * answer * size.vocabulary
    tower = _block(size.tower, tokens.tower, precise)
    text = _block(size.text, length, precise) + _mask(length, precise)
    inputs = precise * (
        tokens.tower * size.tower.width * size.tower.layers
        + length * size.text.width * size.text.layers
    )
    ends = around(size, tokens, length, precise)
    return Need(
        weights=size.parameters * precise,
        image=kept(size, tokens, length, precise) + max(tower, text) + logits,
        # the block that is computed anew, and its gradients
        saving=inputs + ends + max(2 * tower, 2 * text, logits),
        cache=precise * length * size.cached,
    )


def kept(size: LvlmSize, tokens: Tokens, length: int, precise: int) -> int:
    """Return the bytes that autograd keeps of an image, the logits aside.

    Args:
        size: Of the model.
        tokens: Of the image.
        length: Tokens of the image, prompt and answer.
        precise: Bytes of a number.
    """
    tower = _block(size.tower, tokens.tower, precise) * size.tower.layers
    text = (_block(size.text, length, precise) + _mask(length, precise)) * size.text.layers
    return tower + text + around(size, tokens, length, precise)


def around(size: LvlmSize, tokens: Tokens, length: int, precise: int) -> int:
    """Return the bytes that are kept outside blocks: patches, projector, the last norm."""
    patches = tokens.tower * (size.patch * precise + size.between.kept_bytes(precise))
    return patches + 4 * length * size.text.width


def _block(blocks: Blocks, tokens: int, precise: int) -> int:
    return tokens * blocks.kept_bytes(precise)


def _mask(length: int, precise: int) -> int:
    """Return the bytes of a block's mask, which images of a batch need where lengths differ."""
    return precise * length**2
