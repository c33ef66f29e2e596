"""Questions about the embedded images: object names, yes/no questions, and captions."""

import hashlib
from collections.abc import Collection, Iterator
from functools import partial

from bench.core.language_types import Question
from bench.data.questions import Questions, QuestionSample
from bench.data.split import Split, choose
from bench.suite.metrics import CAPTION
from bench.suite.specs import LanguageDataset

_WHAT = "What is shown in this image?"
_WHETHER = "Is there {name} in the image?"
_CAPTIONS = (
    "a photo of {name}",
    "a small picture of {name}",
    "an image that shows {name}",
    "there is {name} in the picture",
    "{name} in a photo of low resolution",
)
_SYNONYMS = {  # other accepted names of a class
    "airplane": ("aeroplane", "plane", "aircraft", "jet"),
    "ankle boot": ("boot",),
    "aquarium fish": ("fish", "goldfish"),
    "automobile": ("car",),
    "bag": ("handbag", "purse"),
    "bicycle": ("bike",),
    "cattle": ("cow", "ox"),
    "couch": ("sofa",),
    "lawn mower": ("lawnmower", "mower"),
    "motorcycle": ("motorbike",),
    "pickup truck": ("pickup",),
    "pullover": ("sweater", "jumper"),
    "sea": ("ocean",),
    "ship": ("boat", "vessel"),
    "sneaker": ("trainer",),
    "streetcar": ("tram", "trolley"),
    "t-shirt": ("tee", "tshirt"),
    "telephone": ("phone",),
    "television": ("tv",),
    "trouser": ("trousers", "pants"),
    "truck": ("lorry",),
    **{
        word: (str(digit),)
        for digit, word in enumerate(
            ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
        )
    },
}


def open_embedded(spec: LanguageDataset, split: Split) -> Questions:
    """Return the questions about the images of an embedded dataset.

    `whether` asks two questions per image, as POPE does: about the true class, and about another
    class that a hash of the image's id chooses. The other class is the decoy of all questions.
    """
    samples = dict(
        sample
        for key, label in split.labels.items()
        if isinstance(label, int)
        for sample in _samples(spec, key, label, split.classes)
    )
    return Questions(split.place, samples, split.read, partial(_digest, split))


def _samples(
    spec: LanguageDataset, key: str, label: int, classes: tuple[str, ...]
) -> Iterator[tuple[str, QuestionSample]]:
    name = classes[label]
    others = (*classes[:label], *classes[label + 1 :])
    decoy = choose(others, 1, _number(key))[0]
    match spec.asked:
        case "what":
            question = Question(spec.told(_WHAT), (name,), (name, *_SYNONYMS.get(name, ())), decoy)
            yield key, QuestionSample(key, question)
        case "whether":
            for answer, other, about in (("yes", "no", name), ("no", "yes", decoy)):
                text = _WHETHER.format(name=_with_article(about))
                question = Question(spec.told(text), (answer,), decoy=other)
                yield f"{key}{CAPTION}{about}", QuestionSample(key, question)
        case _:
            captions = tuple(text.format(name=_with_article(name)) for text in _CAPTIONS)
            names = (name, *_SYNONYMS.get(name, ()))
            yield key, QuestionSample(key, Question(spec.told(), captions, names, decoy))


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' and name != 'one' else 'a'} {name}"


def _digest(split: Split, names: Collection[str]) -> dict[str, bytes]:
    return {name: hashlib.sha256(data).digest() for name, data in split.read(names)}
