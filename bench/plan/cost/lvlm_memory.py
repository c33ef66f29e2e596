"""GPU memory of an attack on a vision-language model: an estimate, not measured.

Weights are frozen and the gradient is taken with respect to the pixels, so autograd stores nothing
for linear layers. It stores the inputs of attention, norms and activations. Attention uses torch's
`sdpa` kernels: their memory grows linearly with the number of tokens, except for the mask.
Counted per image:

* stored activations of each token in each block, of the patches, and of the projector;
* three times the logits of the answer's tokens in fp32: the backward pass starts with two more
  tensors of their size;
* once more the stored activations of one block, for the gradients that exist at the same time.

With checkpointing, a block stores only its input and is computed again in the backward pass.
Not counted: activations of resizing (a few megabytes), kernel workspaces, fragmentation of the
allocator, and the CUDA context; `SHARE` leaves room for them. Also not counted: an attack in bf16
on an fp32 model stores a bf16 copy of the weights (half their size; with checkpointing, of one
block at a time), but fewer bytes per image.
"""

from dataclasses import dataclass

from bench.plan.cost.lvlm_size import Blocks, LvlmSize
from bench.plan.cost.lvlm_tokens import Tokens

GIB = 2**30
GPUS = (24, 48, 80)  # GiB
SHARE = 0.9  # fraction of a GPU's memory that an attack may use; assumed
PROMPT, ANSWER = 64, 32  # tokens of a question in its template, and of an answer; assumed
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Memory in bytes.

    Attributes:
        weights: Memory of the model's weights.
        image: Memory per image in an attack step.
        checkpointed: Memory per image in an attack step with checkpointing.
        cache: Memory per image while the model answers: keys and values, no gradient.
    """

    weights: int
    image: int
    checkpointed: int
    cache: int

    def batch(self, gpu: int, *, checkpointing: bool) -> int:
        """Return the largest batch that can be attacked and answered; 0 if no image fits.

        Args:
            gpu: Memory of the GPU in GiB.
            checkpointing: Whether the attack uses gradient checkpointing.
        """
        free = int(SHARE * gpu * GIB) - self.weights
        step = self.checkpointed if checkpointing else self.image
        return max(0, free // max(step, self.cache))


def memory_need(
    size: LvlmSize, tokens: Tokens, number_bytes: int, answer: int = ANSWER
) -> MemoryNeed:
    """Return the memory that an attack needs.

    Args:
        size: Size of the model.
        tokens: Tokens of an image.
        number_bytes: Bytes per number: 4 in fp32, 2 in half precision.
        answer: Number of tokens of the answer.
    """
    length = tokens.text + PROMPT + answer
    logits = 3 * 4 * answer * size.vocabulary
    tower = _block(size.tower, tokens.tower, number_bytes)
    text = _block(size.text, length, number_bytes) + _mask(length, number_bytes)
    inputs = number_bytes * (
        tokens.tower * size.tower.width * size.tower.layers
        + length * size.text.width * size.text.layers
    )
    ends = bytes_outside_blocks(size, tokens, length, number_bytes)
    return MemoryNeed(
        weights=size.parameters * number_bytes,
        image=autograd_bytes(size, tokens, length, number_bytes) + max(tower, text) + logits,
        # the block that is computed again, and its gradients
        checkpointed=inputs + ends + max(2 * tower, 2 * text, logits),
        cache=number_bytes * length * size.cached,
    )


def autograd_bytes(size: LvlmSize, tokens: Tokens, length: int, number_bytes: int) -> int:
    """Return the bytes that autograd stores per image, without the logits.

    Args:
        size: Size of the model.
        tokens: Tokens of the image.
        length: Number of tokens of image, prompt and answer together.
        number_bytes: Bytes per number.
    """
    tower = _block(size.tower, tokens.tower, number_bytes) * size.tower.layers
    text = (
        _block(size.text, length, number_bytes) + _mask(length, number_bytes)
    ) * size.text.layers
    return tower + text + bytes_outside_blocks(size, tokens, length, number_bytes)


def bytes_outside_blocks(size: LvlmSize, tokens: Tokens, length: int, number_bytes: int) -> int:
    """Return the bytes stored outside of blocks: for the patches, the projector, the last norm."""
    patches = tokens.tower * (
        size.patch * number_bytes + size.projector_blocks.kept_bytes(number_bytes)
    )
    return patches + 4 * length * size.text.width


def _block(blocks: Blocks, tokens: int, number_bytes: int) -> int:
    return tokens * blocks.kept_bytes(number_bytes)


def _mask(length: int, number_bytes: int) -> int:
    """Return the bytes of a block's attention mask, needed if lengths in a batch differ."""
    return number_bytes * length**2
