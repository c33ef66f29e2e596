"""Captions made from class names: the training texts of the embedded CLIP."""

GENERAL = (
    "a photo of a {c}",
    "a photo of the {c}",
    "this is a photo of a {c}",
    "a picture of a {c}",
    "an image of a {c}",
    "a small photo of a {c}",
    "a blurry photo of a {c}",
    "a {c}",
)
EXTRA = {
    "fashion-mnist": ("a black and white photo of a {c}", "a photo of a {c}, a piece of clothing"),
    "digits": ("a photo of the number {c}", "the digit {c}", "a handwritten {c}"),
}


def templates(dataset: str) -> tuple[str, ...]:
    """Return the caption templates of a dataset's training images, with the placeholder `{c}`."""
    return GENERAL + EXTRA.get(dataset, ())
