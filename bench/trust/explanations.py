"""What each check's failure means, and what to do about it: for tables, the page and the docs."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """Two sentences on a check that did not pass."""

    means: str
    to_do: str


_STRONGER = "Report the stronger attack; its number is nearer to the truth."
_ADAPT = "Attack it with a differentiable stand-in for the part that hides the gradient (BPDA)."

MEANINGS: dict[str, Meaning] = {
    "stochastic": Meaning(
        "The model answers at random, so that an attack sees another model than is scored.",
        "Average gradients over several passes: `eot: 20`, or `pyautoattack` with `rand`.",
    ),
    "batch": Meaning(
        "An image's answer depends on its neighbours, so that attacks in batches see another model "
        "than single images meet.",
        "Fix the model, or run with `--batch 1`.",
    ),
    "box": Meaning(
        "Something is evaluated outside the budget or [0,1].",
        "Copy the input in the model's forward pass; for 8-bit storage, read the numbers as of a "
        "slightly larger radius.",
    ),
    "eight-bit": Meaning(
        "Rounding an adversarial image to 8 bits changes whether it is one.",
        "Say in which form images were scored; attack the rounded form if files are the threat.",
    ),
    "precision": Meaning(
        "The model answers otherwise in bfloat16.",
        "Attack and judge in fp32 alone, and look for logits of extreme size.",
    ),
    "gradients": Meaning(
        "The model has no gradient that an attack could follow: it is masked, not robust.", _ADAPT
    ),
    "chance": Meaning(
        "Clean images are right no more often than by one answer for all: there is nothing to "
        "defend.",
        "Look at the clean accuracy, classes and prompts before any robust number.",
    ),
    "saturation": Meaning(
        "The softmax is saturated in float32, so that the cross-entropy is flat.",
        "Return logits at their own scale, and attack the margin: `cw`, `apgd-dlr`, `apgd-t`.",
    ),
    "finite-differences": Meaning(
        "The gradient foretells another change than a small step brings: it is shattered or not "
        "the function's own.",
        _ADAPT,
    ),
    "random-directions": Meaning(
        "A random step does as well as one along the gradient, which therefore leads nowhere.",
        f"{_ADAPT} Add Square.",
    ),
    "ascent": Meaning(
        "The attack ends worse than it began.",
        "Use Auto-PGD, or smaller steps and the best point: `keep: best`.",
    ),
    "zero-budget": Meaning(
        "An attack that may change nothing changes the accuracy.",
        "The clean and the attacked model differ: look for randomness, batches and modes.",
    ),
    "monotone": Meaning("A larger radius leaves more images right: the attack fails.", _STRONGER),
    "huge-budget": Meaning(
        "Images stand that could have been painted over: the attack does not find what is there.",
        _ADAPT,
    ),
    "shifted": Meaning(
        "A shift by one pixel costs much accuracy, as where test images are known by heart.",
        "Look for test images in the training data.",
    ),
    "held-out": Meaning(
        "Other images of the same dataset fare worse than the test images.",
        "Look for test images in the training data, and report other images.",
    ),
    "transferred": Meaning(
        "The number is of images crafted on other models; who knows this one does better.",
        "Report it as a transfer number, with the white-box number beside it.",
    ),
    "noise": Meaning("Random noise breaks what the attack leaves: it is no attack.", _STRONGER),
    "other-loss": Meaning("The margin of the logits breaks what the attack leaves.", _STRONGER),
    "transfer": Meaning(
        "Images of another model break what a white-box attack leaves: gradients are masked.",
        _ADAPT,
    ),
    "more-steps": Meaning(
        "With more steps the number accuracy_drop: it has not converged.", _STRONGER
    ),
    "more-restarts": Meaning(
        "With more restarts the number accuracy_drop: it has not converged.", _STRONGER
    ),
    "square": Meaning(
        "An attack that sees logits alone breaks what a white-box one leaves: gradients are "
        "masked.",
        _ADAPT,
    ),
}
