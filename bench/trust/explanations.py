"""What the failure of each check means, and what to do about it."""

from typing import NamedTuple


class Explanation(NamedTuple):
    """Explanation of a warning or failure of a check.

    Attributes:
        meaning: What the finding means.
        remedy: What to do.
    """

    meaning: str
    remedy: str


_STRONGER = "Report the stronger attack's number; it is nearer to the true robust accuracy."
_ADAPT = "Attack with a differentiable approximation of the part that hides the gradient (BPDA)."

EXPLANATIONS: dict[str, Explanation] = {
    "stochastic": Explanation(
        "The model is random, so the attack sees another model than the one that is scored.",
        "Average gradients over several passes: `eot: 20`, or `pyautoattack` with `rand`.",
    ),
    "batch": Explanation(
        "The logits of an image depend on the other images in its batch, so an attack on a batch "
        "sees another model than a single image does.",
        "Fix the model, or run with `--batch 1`.",
    ),
    "box": Explanation(
        "An evaluated image is outside the radius or [0,1], or the model changes its input.",
        "Copy the input in the model's forward pass. With 8-bit storage, read the number as one at "
        "a slightly larger radius.",
    ),
    "eight-bit": Explanation(
        "Rounding adversarial images to 8 bits changes the accuracy.",
        "State in which form images were scored. If the threat is image files, attack the rounded "
        "images.",
    ),
    "precision": Explanation(
        "Accuracy in bfloat16 differs from accuracy in float32.",
        "Attack and score in fp32 only, and look for logits of extreme size.",
    ),
    "gradients": Explanation(
        "The model has no gradient that an attack can follow: the gradient is masked, and the "
        "number does not show robustness.",
        _ADAPT,
    ),
    "chance": Explanation(
        "Clean accuracy is no better than always answering the most frequent class, so a robust "
        "accuracy at this level shows no robustness.",
        "Check the clean accuracy, the classes and the prompt templates first.",
    ),
    "saturation": Explanation(
        "The softmax is saturated in float32, so the gradient of the cross-entropy is zero.",
        "Return unscaled logits, and attack the margin: `cw`, `apgd-dlr`, `apgd-t`.",
    ),
    "finite-differences": Explanation(
        "The gradient does not predict how a small step changes the margin: it is shattered, or it "
        "is not the gradient of this function.",
        _ADAPT,
    ),
    "random-directions": Explanation(
        "A random step raises the margin as much as a step along the gradient: the gradient has no "
        "information.",
        f"{_ADAPT} Also attack with Square.",
    ),
    "ascent": Explanation(
        "The attack ends at a lower loss than it starts from.",
        "Use Auto-PGD, or smaller steps and the best point: `keep: best`.",
    ),
    "zero-budget": Explanation(
        "An attack at radius 0 changes the accuracy or the pixels.",
        "The clean and the attacked model differ: look for randomness, dependence on the batch, "
        "and train or eval mode.",
    ),
    "monotone": Explanation("Accuracy is higher at a larger radius: the attack fails.", _STRONGER),
    "huge-budget": Explanation(
        "Images survive at a radius that allows almost any image: the attack misses adversarial "
        "images that exist.",
        _ADAPT,
    ),
    "shifted": Explanation(
        "A shift by one pixel costs much accuracy, as in a model that memorised the test images.",
        "Look for test images in the training data.",
    ),
    "held-out": Explanation(
        "Accuracy is lower on other images of the same dataset than on the test images.",
        "Look for test images in the training data, and report a number on other images.",
    ),
    "transferred": Explanation(
        "The number is for images crafted on other models; a white-box attack lowers it.",
        "Report it as a transfer number, beside the white-box number.",
    ),
    "noise": Explanation(
        "Random noise breaks images that survive the attack: the attack is too weak.", _STRONGER
    ),
    "other-loss": Explanation(
        "An attack on the margin breaks images that survive the reported attack.", _STRONGER
    ),
    "transfer": Explanation(
        "Adversarial images of other models break images that survive the reported attack: "
        "gradients are masked.",
        _ADAPT,
    ),
    "stand-in": Explanation(
        "An attack with the gradient of another model breaks images that survive the reported "
        "attack: the model hides its own gradient.",
        _ADAPT,
    ),
    "more-steps": Explanation(
        "The number falls with more steps: the attack has not converged.", _STRONGER
    ),
    "more-restarts": Explanation(
        "The number falls with more restarts: the attack has not converged.", _STRONGER
    ),
    "square": Explanation(
        "A black-box attack breaks images that survive the reported attack: gradients are masked.",
        _ADAPT,
    ),
    "cost": Explanation(
        "The defence computes more than its base.",
        "Compare it with other defences of the same cost.",
    ),
    "non-adaptive": Explanation(
        "The model is attacked only by images made on other models: no attack knows the defence.",
        "Attack the defence: `threats: [white-box]` with `preset: adaptive`.",
    ),
    "no-effect": Explanation(
        "The defence leaves the outputs of its base as they are, so it defends nothing.",
        "Report the base's number, and look for a step size or gate that undoes the defence.",
    ),
    "cut-gradient": Explanation(
        "The gradient through the defence is cut or misleading: another gradient is better, which "
        "the reported attack does not use.",
        "Attack with every gradient of the defence: `preset: adaptive`.",
    ),
    "draws": Explanation(
        "The defence is random, and an attack that averages over passes breaks more images.",
        "Average: `eot: 8`, or `preset: adaptive`.",
    ),
}
