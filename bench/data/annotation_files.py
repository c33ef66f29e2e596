"""Readers of published annotation files: questions, captions and reference answers.

coco-captions  {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}
karpathy       {"images": [{"filename", "split", "sentences": [{"raw"}], "filepath"?}]}
vqav2          {"data_subtype", "questions": [{"question_id", "image_id", "question"}]} and
               {"annotations": [{"question_id", "answers": [{"answer"}], "answer_type"?}]}
textvqa        {"data": [{"question_id", "image_id", "question", "answers": [ANSWER]}]}
pope           one JSON object per line: {"question_id", "image", "text", "label"}
v-attack       [{"image", "caption": ["OBJECT: TEXT"]}], [{"image", "replace": ["OBJECT: TEXT"]}]
               and [{"image", "vqa": [QUESTION]}]
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.data.questions import Questions, QuestionSample, questions_in_folder
from bench.data.split import cell_errors
from bench.suite.metrics import ID_SEPARATOR
from bench.suite.specs import LanguageDataset
from radapt.text_files import parse_json, read_json, read_text

_QUESTIONS_PER_IMAGE = 3  # as in V-Attack's code; four images have a fourth question
_CACHED = 4  # datasets in the cache: reading the 214,000 questions of VQAv2 takes seconds
_OPPOSITE = {"yes": "no", "no": "yes"}


def open_published(spec: LanguageDataset) -> Questions:
    """Read the questions of published files; unchanged files are read once per process.

    Raises:
        CellError: A file is missing or has the wrong format, or an image is outside the folder.
    """
    state = tuple(_state(path) for path in _annotation_paths(spec))
    return questions_in_folder(
        _reference_path(spec), _questions(spec, state), Path(spec.images or "")
    )


def files_of(spec: LanguageDataset) -> Iterator[Path]:
    """Yield the files and folders that a dataset needs."""
    yield from _annotation_paths(spec)
    if spec.images is not None:
        yield Path(spec.images)


def _annotation_paths(spec: LanguageDataset) -> Iterator[Path]:
    for path in (spec.questions, spec.annotations, spec.objects, spec.targets):
        if path is not None:
            yield Path(path)


def _reference_path(spec: LanguageDataset) -> Path:
    """Return the file with the reference answers."""
    return Path(spec.objects or spec.annotations or spec.questions or "")


def _state(path: Path) -> tuple[Path, int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise CellError(f"{path}: cannot be read ({error})") from error
    return path.resolve(), state.st_size, state.st_mtime_ns


@lru_cache(maxsize=_CACHED)
def _questions(
    spec: LanguageDataset, _: tuple[tuple[Path, int, int], ...]
) -> Mapping[str, QuestionSample]:
    """Return the questions by sample id.

    The second argument is a key of the cache: changed files are read again.
    """
    readers = {
        "coco-captions": _coco_captions,
        "karpathy": _karpathy,
        "vqav2": _vqav2,
        "textvqa": _textvqa,
        "pope": _pope,
        "v-attack": _v_attack,
    }
    path = _reference_path(spec)
    samples: dict[str, QuestionSample] = {}
    duplicates = 0
    for key, sample in readers[spec.format](spec, path):
        if not isinstance(sample.image, str):
            raise CellError(
                f"{path}: the image of {key} is {sample.image!r}, which is not the name of a file"
            )
        answers, names = sample.question.answers, sample.question.names
        if not any(answer.strip() for answer in answers) or not all(names):
            raise CellError(f"{path}: {key} has no reference answer, or its object has no name")
        duplicates += key in samples
        samples[key] = sample
    if duplicates:
        raise CellError(f"{path}: {duplicates} ids appear twice")
    return MappingProxyType(samples)


_Samples = Iterator[tuple[str, QuestionSample]]


@contextmanager
def _reading(spec: LanguageDataset, path: Path) -> Iterator[Any]:
    """Parse a JSON file; a missing key in the body is reported with the file's path."""
    with cell_errors():
        content = read_json(path)
    with _format_errors(spec, str(path)):
        yield content


@contextmanager
def _format_errors(spec: LanguageDataset, place: str) -> Iterator[None]:
    """Turn errors of the body into a CellError that names the file and the format."""
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
            captions.setdefault(entry["image_id"], []).append(_one_line(entry["caption"]))
        for entry in content["images"]:
            if entry["id"] in captions:
                name = entry["file_name"]
                yield (
                    name,
                    QuestionSample(name, Question(spec.prompt_for(), tuple(captions[entry["id"]]))),
                )


def _karpathy(spec: LanguageDataset, path: Path) -> _Samples:
    split = spec.split or "test"
    with _reading(spec, path) as content:
        images = content["images"]
        if not any(entry["split"] == split for entry in images):
            found = ", ".join(sorted({entry["split"] for entry in images}))
            raise CellError(f"{path}: has no split {split!r}; allowed: {found}")
        for entry in images:
            if entry["split"] == split:
                name = entry["filename"]
                # COCO's images are in several folders, Flickr30k's in a single folder
                image = f"{entry['filepath']}/{name}" if "filepath" in entry else name
                captions = tuple(_one_line(each["raw"]) for each in _as_list(entry["sentences"]))
                yield name, QuestionSample(image, Question(spec.prompt_for(), captions))


def _vqav2(spec: LanguageDataset, path: Path) -> _Samples:
    with _reading(spec, path) as content:
        answers = {
            entry["question_id"]: tuple(str(each["answer"]) for each in _as_list(entry["answers"]))
            for entry in content["annotations"]
        }
        types = {entry["question_id"]: _answer_type(entry) for entry in content["annotations"]}
    questions_path = Path(spec.questions or "")
    with _reading(spec, questions_path) as content:
        questions = content["questions"]
        if unanswered := [q for q in questions if q["question_id"] not in answers]:
            raise CellError(
                f"{questions_path}: {len(unanswered)} questions have no answers in {path}, first "
                f"{unanswered[0]['question_id']}; do both files belong to the same split?"
            )
        for entry in questions:
            name = f"COCO_{content['data_subtype']}_{entry['image_id']:012d}.jpg"
            key = entry["question_id"]
            asked = spec.prompt_for(entry["question"])
            question = Question(asked, answers[key], answer_type=types[key])
            yield f"{name}{ID_SEPARATOR}{key}", QuestionSample(name, question)


def _textvqa(spec: LanguageDataset, path: Path) -> _Samples:
    with _reading(spec, path) as content:
        for entry in content["data"]:
            answers = tuple(map(str, _as_list(entry["answers"])))
            question = Question(spec.prompt_for(entry["question"]), answers)
            name = f"{entry['image_id']}.jpg"
            yield f"{name}{ID_SEPARATOR}{entry['question_id']}", QuestionSample(name, question)


def _pope(spec: LanguageDataset, path: Path) -> _Samples:
    with cell_errors():
        lines = read_text(path).split("\n")  # a JSON text may contain other characters of line ends
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        with cell_errors():
            entry = parse_json(line, place)
        with _format_errors(spec, place):
            label = entry["label"]
            if label not in _OPPOSITE:
                raise CellError(f"{place}: got label {label!r}; allowed: yes, no")
            question = Question(spec.prompt_for(entry["text"]), (label,), decoy=_OPPOSITE[label])
            image = entry["image"]
            yield f"{image}{ID_SEPARATOR}{entry['question_id']}", QuestionSample(image, question)


def _v_attack(spec: LanguageDataset, path: Path) -> _Samples:
    targets_path, questions_path = Path(spec.targets or ""), Path(spec.questions or "")
    with _reading(spec, targets_path) as content:
        targets = {entry["image"]: _object(_as_list(entry["replace"])[0])[0] for entry in content}
    texts: dict[str, list[str]] = {}
    if spec.question_type == "question":
        with _reading(spec, questions_path) as content:
            texts = {entry["image"]: _first(_as_list(entry["vqa"])) for entry in content}
    with _reading(spec, path) as content:
        for entry in content:
            image = entry["image"]
            name, caption = _object(_as_list(entry["caption"])[0])
            if image not in targets:
                raise CellError(f"{targets_path}: has no target for {image} of {path}")
            decoy = targets[image]
            if spec.question_type == "caption":
                yield (
                    image,
                    QuestionSample(image, Question(spec.prompt_for(), (caption,), (name,), decoy)),
                )
                continue
            if not texts.get(image):
                raise CellError(f"{questions_path}: has no question about {image} of {path}")
            # the files have no reference answers; all questions are about the object
            for number, text in enumerate(texts[image], 1):
                question = Question(spec.prompt_for(text), (name,), (name,), decoy)
                yield f"{image}{ID_SEPARATOR}{number}", QuestionSample(image, question)


def _object(text: str) -> tuple[str, str]:
    """Split `OBJECT: TEXT` into both parts; without a text, return the object twice."""
    name, _, rest = text.partition(":")
    return name.strip().lower(), rest.strip() or name.strip()


def _first(questions: list[str]) -> list[str]:
    return [question for question in questions[:_QUESTIONS_PER_IMAGE] if question.strip()]


def _as_list(value: Any) -> list[Any]:
    """Return a list unchanged; refuse a string, because a loop would go over its characters."""
    if not isinstance(value, list):
        raise TypeError(f"a list is needed, got {value!r:.40}")
    return value


def _answer_type(entry: Mapping[str, Any]) -> str | None:
    """Return the type of a question's answer; None if the file states none."""
    found = entry.get("answer_type")
    if not isinstance(found, str | None):
        raise TypeError(f"answer_type: a text is needed, got {found!r:.40}")
    return found


def _one_line(caption: str) -> str:
    return " ".join(caption.split())
