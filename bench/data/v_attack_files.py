"""Reader of V-Attack's COCO-300 (github.com/Summu77/V-Attack, folder Data).

The three files are [{"image", "caption": ["OBJECT: TEXT"]}], [{"image", "replace": ["OBJECT:
TEXT"]}] and [{"image", "vqa": [QUESTION]}]. As published, each has 300 entries for 297 images:
three images appear twice, with other descriptions of the same object. V-Attack's code makes a
dictionary by image, so the last entry counts; it does here too.
"""

from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.data.annotation_reading import (
    Note,
    Samples,
    as_list,
    as_text,
    json_content,
    note_all,
)
from bench.data.questions import QuestionSample
from bench.suite.metrics import ID_SEPARATOR
from bench.suite.specs import LanguageDataset

_QUESTIONS_PER_IMAGE = 3  # as in V-Attack's code; four images have a fourth question


def read_v_attack(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    """Yield the samples: a caption or three questions per image, with its object and target."""
    targets_path, questions_path = Path(spec.targets or ""), Path(spec.questions or "")
    objects = {image: _object(text) for image, (text, *_) in _texts(spec, path, "caption", note)}
    targets = {
        image: _object(text)[0] for image, (text, *_) in _texts(spec, targets_path, "replace", note)
    }
    asked = {}
    if spec.question_type == "question":
        asked = dict(_texts(spec, questions_path, "vqa", note))
    own = [f"{image}: {name}" for image, (name, _) in objects.items() if targets.get(image) == name]
    note_all(
        note, "target-is-object", own,
        "images have their own object as the target",
    )  # fmt: skip
    for image, (name, caption) in objects.items():
        if image not in targets:
            raise CellError(f"{targets_path}: has no target for {image} of {path}")
        decoy = targets[image]
        if spec.question_type == "caption":
            question = Question(spec.prompt_for(), (caption,), (name,), decoy)
            yield image, QuestionSample(image, question)
            continue
        # the files have no reference answers; all questions are about the object
        texts = [text for text in asked.get(image, ())[:_QUESTIONS_PER_IMAGE] if text.strip()]
        if not texts:
            raise CellError(f"{questions_path}: has no question about {image} of {path}")
        for number, text in enumerate(texts, 1):
            question = Question(spec.prompt_for(text), (name,), (name,), decoy)
            yield f"{image}{ID_SEPARATOR}{number}", QuestionSample(image, question)


def _texts(
    spec: LanguageDataset, path: Path, key: str, note: Note
) -> Iterator[tuple[str, list[str]]]:
    """Yield each image of a file with the texts of its last entry."""
    with json_content(spec, path) as content:
        texts: dict[str, list[str]] = {}
        earlier = []
        for entry in as_list(content):
            if entry["image"] in texts:
                earlier.append(entry["image"])
            texts[entry["image"]] = [as_text(text) for text in as_list(entry[key])]
        if empty := [image for image, found in texts.items() if not found]:
            raise CellError(f"{path}: {len(empty)} images have no `{key}` (first: {empty[0]})")
        note_all(
            note, "repeated-images", earlier,
            f"images appear twice in {path.name}; their last entry counts",
        )  # fmt: skip
        yield from texts.items()


def _object(text: str) -> tuple[str, str]:
    """Split `OBJECT: TEXT` into both parts; without a text, return the object twice."""
    name, _, rest = text.partition(":")
    return name.strip().lower(), rest.strip() or name.strip()
