"""Questions and captions as their publishers' files have them.

coco-captions  {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}
karpathy       {"images": [{"filename", "split", "sentences": [{"raw"}], "filepath"?}]}
vqav2          {"data_subtype", "questions": [{"question_id", "image_id", "question"}]} and
               {"annotations": [{"question_id", "answers": [{"answer"}]}]}
textvqa        {"data": [{"question_id", "image_id", "question", "answers": [ANSWER]}]}
pope           a JSON object a line: {"question_id", "image", "text", "label"}
v-attack       [{"image", "caption": ["OBJECT: TEXT"]}], [{"image", "replace": ["OBJECT: TEXT"]}]
               and [{"image", "vqa": [QUESTION]}]
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.data.questions import Asked, Questions, in_folder
from bench.errors import CellError
from bench.language import Exchange
from bench.specs import LanguageDataset

_ASKED = 3  # questions of an image that V-Attack's code asks; four images have a fourth
_OPPOSITE = {"yes": "no", "no": "yes"}


def open_published(spec: LanguageDataset) -> Questions:
    """Read what a dataset of a publisher's files asks.

    Raises:
        CellError: A file is missing or not in the format.
    """
    readers = {
        "coco-captions": _coco_captions,
        "karpathy": _karpathy,
        "vqav2": _vqav2,
        "textvqa": _textvqa,
        "pope": _pope,
        "v-attack": _v_attack,
    }
    path = Path(spec.objects or spec.annotations or spec.questions or "")
    try:
        samples = list(readers[spec.format](spec, path))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CellError(
            f"{path}: is not in the format {spec.format} ({type(error).__name__}: {error})"
        ) from error
    asked = dict(samples)
    if len(asked) < len(samples):
        raise CellError(f"{path}: {len(samples) - len(asked)} ids appear twice")
    return in_folder(path, asked, Path(spec.images or ""))


def files_of(spec: LanguageDataset) -> Iterator[Path]:
    """Yield the files and folders that a dataset needs."""
    for place in (spec.questions, spec.annotations, spec.objects, spec.targets, spec.images):
        if place is not None:
            yield Path(place)


_Samples = Iterator[tuple[str, Asked]]


def _coco_captions(spec: LanguageDataset, path: Path) -> _Samples:
    content = _json(path)
    captions: dict[int, list[str]] = {}
    for entry in content["annotations"]:
        captions.setdefault(entry["image_id"], []).append(_line(entry["caption"]))
    for entry in content["images"]:
        if entry["id"] in captions:
            name = entry["file_name"]
            yield name, Asked(name, Exchange(spec.told(), tuple(captions[entry["id"]])))


def _karpathy(spec: LanguageDataset, path: Path) -> _Samples:
    split = spec.split or "test"
    images = _json(path)["images"]
    if not any(entry["split"] == split for entry in images):
        found = ", ".join(sorted({entry["split"] for entry in images}))
        raise CellError(f"{path}: has no split {split!r}; it has: {found}")
    for entry in images:
        if entry["split"] == split:
            name = entry["filename"]
            # COCO's file names the folder of its images, Flickr30k's has one folder only
            place = f"{entry['filepath']}/{name}" if "filepath" in entry else name
            captions = tuple(_line(sentence["raw"]) for sentence in entry["sentences"])
            yield name, Asked(place, Exchange(spec.told(), captions))


def _vqav2(spec: LanguageDataset, path: Path) -> _Samples:
    answers = {
        entry["question_id"]: tuple(str(each["answer"]) for each in entry["answers"])
        for entry in _json(path)["annotations"]
    }
    questions = Path(spec.questions or "")
    asked = _json(questions)
    if unanswered := [q for q in asked["questions"] if q["question_id"] not in answers]:
        raise CellError(
            f"{questions}: {len(unanswered)} questions have no answers in {path}, "
            f"{unanswered[0]['question_id']} the first; are they of the same split?"
        )
    for entry in asked["questions"]:
        name = f"COCO_{asked['data_subtype']}_{entry['image_id']:012d}.jpg"
        key = entry["question_id"]
        yield str(key), Asked(name, Exchange(spec.told(entry["question"]), answers[key]))


def _textvqa(spec: LanguageDataset, path: Path) -> _Samples:
    for entry in _json(path)["data"]:
        answers = tuple(map(str, entry["answers"]))
        exchange = Exchange(spec.told(entry["question"]), answers)
        yield str(entry["question_id"]), Asked(f"{entry['image_id']}.jpg", exchange)


def _pope(spec: LanguageDataset, path: Path) -> _Samples:
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        entry = _parsed(line, f"{path}, line {number}")
        label = entry["label"]
        if label not in _OPPOSITE:
            raise CellError(f"{path}, line {number}: got label {label!r}; allowed: yes, no")
        exchange = Exchange(spec.told(entry["text"]), (label,), decoy=_OPPOSITE[label])
        yield str(entry["question_id"]), Asked(entry["image"], exchange)


def _v_attack(spec: LanguageDataset, path: Path) -> _Samples:
    targets_path = Path(spec.targets or "")
    targets = {entry["image"]: _named(entry["replace"][0]) for entry in _json(targets_path)}
    asked = {}
    if spec.asked == "question":
        asked = {entry["image"]: entry["vqa"] for entry in _json(Path(spec.questions or ""))}
    for entry in _json(path):
        image = entry["image"]
        if image not in targets:
            raise CellError(f"{targets_path}: lacks {image}, which {path} has")
        name, caption = _named(entry["caption"][0])
        decoy = targets[image][0]
        if spec.asked == "caption":
            yield image, Asked(image, Exchange(spec.told(), (caption,), (name,), decoy))
            continue
        # nobody has written answers: the object's name is what they are all about
        for number, question in enumerate(_asked(asked.get(image, ())), 1):
            exchange = Exchange(spec.told(question), (name,), (name,), decoy)
            yield f"{image}:{number}", Asked(image, exchange)


def _named(text: str) -> tuple[str, str]:
    """Split `OBJECT: TEXT`; the object stands for a text that is missing."""
    name, _, rest = text.partition(":")
    return name.strip().lower(), rest.strip() or name.strip()


def _asked(questions: Iterable[str]) -> list[str]:
    return [question for question in [*questions][:_ASKED] if question.strip()]


def _line(caption: str) -> str:
    return " ".join(caption.split())


def _json(path: Path) -> Any:
    return _parsed(_text(path), str(path))


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CellError(f"{place}: not valid JSON ({error})") from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CellError(f"{path}: cannot be read ({error})") from error
