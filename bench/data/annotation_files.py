"""Questions and captions, read from the files that their publishers offer.

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.core.errors import CellError
from bench.core.exchanges import Exchange
from bench.data.questions import Asked, Questions, in_folder
from bench.suite.metrics import ID_SEPARATOR
from bench.suite.specs import LanguageDataset

_ASKED = 3  # questions of an image that V-Attack's code asks; four images have a fourth
_KEPT = 4  # datasets whose questions are kept: 214,000 of VQAv2 take seconds to read
_OPPOSITE = {"yes": "no", "no": "yes"}


def open_published(spec: LanguageDataset) -> Questions:
    """Read the questions of a publisher's files; unchanged files are read once in a process.

    Raises:
        CellError: A file is missing or not in the format, or an image is outside the folder.
    """
    state = tuple(_state(path) for path in _texts_of(spec))
    return in_folder(_leading(spec), _asked(spec, state), Path(spec.images or ""))


def files_of(spec: LanguageDataset) -> Iterator[Path]:
    """Yield the files and folders that a dataset needs."""
    yield from _texts_of(spec)
    if spec.images is not None:
        yield Path(spec.images)


def _texts_of(spec: LanguageDataset) -> Iterator[Path]:
    for place in (spec.questions, spec.annotations, spec.objects, spec.targets):
        if place is not None:
            yield Path(place)


def _leading(spec: LanguageDataset) -> Path:
    """Return the file with the reference answers."""
    return Path(spec.objects or spec.annotations or spec.questions or "")


def _state(path: Path) -> tuple[Path, int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise CellError(f"{path}: cannot be read ({error})") from error
    return path.resolve(), state.st_size, state.st_mtime_ns


@lru_cache(maxsize=_KEPT)
def _asked(spec: LanguageDataset, _: tuple[tuple[Path, int, int], ...]) -> Mapping[str, Asked]:
    """Return the questions by sample id; the second argument makes the cache follow the files."""
    readers = {
        "coco-captions": _coco_captions,
        "karpathy": _karpathy,
        "vqav2": _vqav2,
        "textvqa": _textvqa,
        "pope": _pope,
        "v-attack": _v_attack,
    }
    path = _leading(spec)
    asked: dict[str, Asked] = {}
    twice = 0
    for key, sample in readers[spec.format](spec, path):
        if not isinstance(sample.image, str):
            raise CellError(f"{path}: {key} is about {sample.image!r}, which names no image")
        answers, names = sample.exchange.answers, sample.exchange.names
        if not any(answer.strip() for answer in answers) or not all(names):
            raise CellError(f"{path}: {key} has no reference answer, or its object has no name")
        twice += key in asked
        asked[key] = sample
    if twice:
        raise CellError(f"{path}: {twice} ids appear twice")
    return MappingProxyType(asked)


_Samples = Iterator[tuple[str, Asked]]


@contextmanager
def _reading(spec: LanguageDataset, path: Path) -> Iterator[Any]:
    """Parse a JSON file; a key that is missing from it is reported as a fault of that file."""
    with _format_of(spec, str(path)):
        yield _parsed(_text(path), str(path))


@contextmanager
def _format_of(spec: LanguageDataset, place: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CellError(
            f"{place}: is not in the format {spec.format} ({type(error).__name__}: {error})"
        ) from error


def _coco_captions(spec: LanguageDataset, path: Path) -> _Samples:
    with _reading(spec, path) as content:
        captions: dict[int, list[str]] = {}
        for entry in content["annotations"]:
            captions.setdefault(entry["image_id"], []).append(_line(entry["caption"]))
        for entry in content["images"]:
            if entry["id"] in captions:
                name = entry["file_name"]
                yield name, Asked(name, Exchange(spec.prompt_for(), tuple(captions[entry["id"]])))


def _karpathy(spec: LanguageDataset, path: Path) -> _Samples:
    split = spec.split or "test"
    with _reading(spec, path) as content:
        images = content["images"]
        if not any(entry["split"] == split for entry in images):
            found = ", ".join(sorted({entry["split"] for entry in images}))
            raise CellError(f"{path}: has no split {split!r}; it has: {found}")
        for entry in images:
            if entry["split"] == split:
                name = entry["filename"]
                # COCO's file names the folder of its images, Flickr30k's has one folder only
                place = f"{entry['filepath']}/{name}" if "filepath" in entry else name
                captions = tuple(_line(each["raw"]) for each in _many(entry["sentences"]))
                yield name, Asked(place, Exchange(spec.prompt_for(), captions))


def _vqav2(spec: LanguageDataset, path: Path) -> _Samples:
    with _reading(spec, path) as content:
        answers = {
            entry["question_id"]: tuple(str(each["answer"]) for each in _many(entry["answers"]))
            for entry in content["annotations"]
        }
    questions = Path(spec.questions or "")
    with _reading(spec, questions) as content:
        asked = content["questions"]
        if unanswered := [q for q in asked if q["question_id"] not in answers]:
            raise CellError(
                f"{questions}: {len(unanswered)} questions have no answers in {path}, "
                f"{unanswered[0]['question_id']} the first; are they of the same split?"
            )
        for entry in asked:
            name = f"COCO_{content['data_subtype']}_{entry['image_id']:012d}.jpg"
            key = entry["question_id"]
            exchange = Exchange(spec.prompt_for(entry["question"]), answers[key])
            yield f"{name}{ID_SEPARATOR}{key}", Asked(name, exchange)


def _textvqa(spec: LanguageDataset, path: Path) -> _Samples:
    with _reading(spec, path) as content:
        for entry in content["data"]:
            answers = tuple(map(str, _many(entry["answers"])))
            exchange = Exchange(spec.prompt_for(entry["question"]), answers)
            name = f"{entry['image_id']}.jpg"
            yield f"{name}{ID_SEPARATOR}{entry['question_id']}", Asked(name, exchange)


def _pope(spec: LanguageDataset, path: Path) -> _Samples:
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        with _format_of(spec, place):
            entry = _parsed(line, place)
            label = entry["label"]
            if label not in _OPPOSITE:
                raise CellError(f"{place}: got label {label!r}; allowed: yes, no")
            exchange = Exchange(spec.prompt_for(entry["text"]), (label,), decoy=_OPPOSITE[label])
            image = entry["image"]
            yield f"{image}{ID_SEPARATOR}{entry['question_id']}", Asked(image, exchange)


def _v_attack(spec: LanguageDataset, path: Path) -> _Samples:
    targets_path, questions_path = Path(spec.targets or ""), Path(spec.questions or "")
    with _reading(spec, targets_path) as content:
        targets = {entry["image"]: _named(_many(entry["replace"])[0])[0] for entry in content}
    questions: dict[str, list[str]] = {}
    if spec.question_type == "question":
        with _reading(spec, questions_path) as content:
            questions = {entry["image"]: _first(_many(entry["vqa"])) for entry in content}
    with _reading(spec, path) as content:
        for entry in content:
            image = entry["image"]
            name, caption = _named(_many(entry["caption"])[0])
            if image not in targets:
                raise CellError(f"{targets_path}: lacks {image}, which {path} has")
            decoy = targets[image]
            if spec.question_type == "caption":
                yield image, Asked(image, Exchange(spec.prompt_for(), (caption,), (name,), decoy))
                continue
            if not questions.get(image):
                raise CellError(f"{questions_path}: asks nothing about {image}, which {path} has")
            # there are no reference answers: all questions are about the object
            for number, question in enumerate(questions[image], 1):
                exchange = Exchange(spec.prompt_for(question), (name,), (name,), decoy)
                yield f"{image}{ID_SEPARATOR}{number}", Asked(image, exchange)


def _named(text: str) -> tuple[str, str]:
    """Split `OBJECT: TEXT`; where the text is missing, it is the object."""
    name, _, rest = text.partition(":")
    return name.strip().lower(), rest.strip() or name.strip()


def _first(questions: list[str]) -> list[str]:
    return [question for question in questions[:_ASKED] if question.strip()]


def _many(value: Any) -> list[Any]:
    """Return a list unchanged; refuse a text, whose letters would be taken for entries."""
    if not isinstance(value, list):
        raise TypeError(f"a list is needed, got {value!r:.40}")
    return value


def _line(caption: str) -> str:
    return " ".join(caption.split())


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
