"""Readers of published files of questions with reference answers.

vqav2          {"data_subtype", "questions": [{"question_id", "image_id", "question"}]} and
               {"annotations": [{"question_id", "answers": [{"answer"}], "answer_type"?}]}
textvqa        {"data": [{"question_id", "image_id", "question", "answers": [ANSWER]}]}
vizwiz         [{"image", "question", "answers": [{"answer"}], "answer_type"?}]: train.json and
               val.json; test.json has no answers
scienceqa      {ID: {"question", "choices": [TEXT], "answer": INDEX, "hint", "image": NAME or
               null, "split"}}: problems.json; the images are SPLIT/ID/NAME. As LLaVA reports
               ("IMG"), only questions with an image are asked. The text of a question is that of
               lmms-eval (`sqa_doc_to_text`).
pope           one JSON object per line, or in one array as for A-OKVQA and GQA: {"question_id",
               "image", "text", "label"}
v-attack       [{"image", "caption": ["OBJECT: TEXT"]}], [{"image", "replace": ["OBJECT: TEXT"]}]
               and [{"image", "vqa": [QUESTION]}]: COCO-300 (github.com/Summu77/V-Attack). As
               published, each file has 300 entries for 297 images: three images appear twice, with
               other descriptions of the same object. V-Attack's code makes a dictionary by image,
               so the last entry counts; it does here too.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.core.suite_paths import find_path
from bench.data.annotation_reading import (
    Note,
    Reader,
    Samples,
    as_list,
    as_text,
    format_errors,
    in_split,
    json_content,
    note_all,
    text_lines,
)
from bench.data.questions import QuestionSample
from bench.data.split import cell_errors
from bench.suite.metrics import ID_SEPARATOR
from bench.suite.specs import LanguageDataset
from radapt.text_files import parse_json

_OPPOSITE = {"yes": "no", "no": "yes"}
_QUESTIONS_PER_IMAGE = 3  # as in V-Attack's code; four images have a fourth question
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _vqav2(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    with json_content(spec, path) as content:
        answers = {entry["question_id"]: _answers(entry) for entry in content["annotations"]}
        types = {entry["question_id"]: _answer_type(entry) for entry in content["annotations"]}
        doubled = len(content["annotations"]) - len(answers)
        if doubled:
            raise CellError(f"{path}: {doubled} question ids appear twice")
    questions_path = find_path(spec.questions or "")
    with json_content(spec, questions_path) as content:
        questions = content["questions"]
        if unanswered := [q for q in questions if q["question_id"] not in answers]:
            raise CellError(
                f"{questions_path}: {len(unanswered)} questions have no answers in {path}, first "
                f"{unanswered[0]['question_id']}; do both files belong to the same split?"
            )
        asked = {entry["question_id"] for entry in questions}
        unasked = [f"question_id {key}" for key in answers if key not in asked]
        note_all(
            note, "answers-without-question", unasked,
            f"answers belong to no question of {questions_path.name}",
        )  # fmt: skip
        for entry in questions:
            name = f"COCO_{content['data_subtype']}_{entry['image_id']:012d}.jpg"
            key = entry["question_id"]
            prompt = spec.prompt_for(entry["question"])
            question = Question(prompt, answers[key], answer_type=types[key])
            yield f"{name}{ID_SEPARATOR}{key}", QuestionSample(name, question)


def _textvqa(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    with json_content(spec, path) as content:
        for entry in content["data"]:
            answers = tuple(map(str, as_list(entry["answers"])))
            question = Question(spec.prompt_for(entry["question"]), answers)
            name = f"{entry['image_id']}.jpg"
            yield f"{name}{ID_SEPARATOR}{entry['question_id']}", QuestionSample(name, question)


def _vizwiz(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    with json_content(spec, path) as content:
        for entry in as_list(content):
            prompt = spec.prompt_for(entry["question"])
            question = Question(prompt, _answers(entry), answer_type=_answer_type(entry))
            yield entry["image"], QuestionSample(entry["image"], question)


def _scienceqa(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    with json_content(spec, path) as content:
        entries = in_split(spec, path, [{"id": key, **entry} for key, entry in content.items()])
        without = [f"question {entry['id']}" for entry in entries if not entry["image"]]
        note_all(
            note, "questions-without-image", without,
            f"of {len(entries)} questions have no image and are not asked",
        )  # fmt: skip
        for entry in entries:
            if entry["image"]:
                image = f"{entry['split']}/{entry['id']}/{entry['image']}"
                yield (
                    f"{image}{ID_SEPARATOR}{entry['id']}",
                    QuestionSample(image, _multiple_choice(spec, entry)),
                )


def _multiple_choice(spec: LanguageDataset, entry: Mapping[str, Any]) -> Question:
    """Return a question with lettered choices; the reference answer is a letter."""
    choices, answer = as_list(entry["choices"]), entry["answer"]
    if not 0 <= answer < len(choices):
        raise ValueError(f"question {entry['id']}: answer {answer} of {len(choices)} choices")
    context = f"Context: {entry['hint']}\n" if entry["hint"] else ""
    lettered = zip(_LETTERS, choices, strict=False)
    options = "\n".join(f"{letter}. {choice}" for letter, choice in lettered)
    prompt = spec.prompt_for(f"{context}{as_text(entry['question'])}\n{options}")
    return Question(prompt, (_LETTERS[answer],))


def _pope(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    for place, entry in _objects(path):
        with format_errors(spec, place):
            label = entry["label"]
            if label not in _OPPOSITE:
                raise CellError(f"{place}: got label {label!r}; allowed: yes, no")
            question = Question(spec.prompt_for(entry["text"]), (label,), decoy=_OPPOSITE[label])
            image = entry["image"]
            yield f"{image}{ID_SEPARATOR}{entry['question_id']}", QuestionSample(image, question)


def _objects(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the objects of a file of JSON lines or of a JSON array, each with its place."""
    lines = list(text_lines(path))
    with cell_errors():
        if lines and lines[0][1].lstrip().startswith("["):
            # blank lines at the start keep their number in a message
            text = "\n" * (lines[0][0] - 1) + "\n".join(line for _, line in lines)
            array = as_list(parse_json(text, str(path)))
            yield from ((f"{path}, entry {number}", each) for number, each in enumerate(array, 1))
            return
        for number, line in lines:
            place = f"{path}, line {number}"
            yield place, parse_json(line, place)


def _answers(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the annotators' answers to a question."""
    return tuple(str(each["answer"]) for each in as_list(entry["answers"]))


def _answer_type(entry: Mapping[str, Any]) -> str | None:
    """Return the type of a question's answer; None if the file states none."""
    found = entry.get("answer_type")
    if not isinstance(found, str | None):
        raise TypeError(f"answer_type: a text is needed, got {found!r:.40}")
    return found


def _v_attack(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    """Yield the samples: a caption or three questions per image, with its object and target."""
    targets_path, questions_path = find_path(spec.targets or ""), find_path(spec.questions or "")
    repeated: dict[str, None] = {}
    shown = _texts(spec, path, "caption", repeated)
    objects = {image: _object(texts[0]) for image, texts in shown.items()}
    wanted = _texts(spec, targets_path, "replace", repeated)
    targets = {image: _object(texts[0])[0] for image, texts in wanted.items()}
    asks = spec.question_type == "question"
    asked = _texts(spec, questions_path, "vqa", repeated) if asks else {}
    note_all(note, "repeated-images", [*repeated], "images appear twice; their last entries count")
    own = [f"{image}: {name}" for image, (name, _) in objects.items() if targets.get(image) == name]
    note_all(note, "target-is-object", own, "images have their own object as the target")
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
    spec: LanguageDataset, path: Path, key: str, repeated: dict[str, None]
) -> dict[str, list[str]]:
    """Return the texts of each image's last entry; add images with several to `repeated`."""
    texts: dict[str, list[str]] = {}
    with json_content(spec, path) as content:
        for entry in as_list(content):
            if entry["image"] in texts:
                repeated[entry["image"]] = None
            texts[entry["image"]] = [as_text(text) for text in as_list(entry[key])]
    if empty := [image for image, found in texts.items() if not found]:
        raise CellError(f"{path}: {len(empty)} images have no `{key}` (first: {empty[0]})")
    return texts


def _object(text: str) -> tuple[str, str]:
    """Split `OBJECT: TEXT` into both parts; without a text, return the object twice."""
    name, _, rest = text.partition(":")
    return name.strip().lower(), rest.strip() or name.strip()


VQA_READERS: Mapping[str, Reader] = {
    "vqav2": _vqav2,
    "textvqa": _textvqa,
    "vizwiz": _vizwiz,
    "scienceqa": _scienceqa,
    "pope": _pope,
    "v-attack": _v_attack,
}
