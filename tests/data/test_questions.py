"""Images that are asked about in words: files in their publishers' layouts, and embedded sets."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import CellError, SuiteError
from bench.core.language_types import Question
from bench.core.resolved_names import DatasetLock, Lock
from bench.data import index_dataset, load_images, load_questions, native_size, read_labels
from bench.data.source_kinds import source_of
from bench.plan.cells import expand
from bench.plan.resolve import resolve
from bench.suite.load import Suite, load_suite
from bench.suite.metrics import CIDER, NAMES_OBJECT, VQA_ACCURACY, YES_NO, metric_of, metrics_of
from bench.suite.specs import LanguageDataset, NanoDataset, Pixels, task_of
from tests.support.question_files import (
    WORDS,
    coco_captions,
    karpathy,
    language,
    picture,
    pope,
    textvqa,
    v_attack,
    vqav2,
    write,
)

Writer = Callable[..., Suite]
SQUARE = Pixels(size=8, fit="squash")
SHORT = "\nAnswer the question using a single word or phrase."
CAPTION = "Provide a short caption for this image."


@pytest.fixture
def suite(suite_file: Callable[..., Path]) -> Writer:
    return lambda **changes: load_suite(suite_file(**changes))


def questions(spec: LanguageDataset) -> dict[str, Question]:
    lock = index_dataset(spec, 100, 0)
    found = load_questions(spec, lock.sample_ids, SQUARE)
    assert found.images.shape == (len(lock.sample_ids), 3, 8, 8)
    assert found.images.dtype == np.uint8
    return dict(zip(found.sample_ids, found.questions, strict=True))


def test_coco_captions(tmp_path: Path) -> None:
    spec = coco_captions(tmp_path)
    assert questions(spec) == {
        "000000000139.jpg": Question(CAPTION, ("A woman stands in a dining area.",)),
        "000000000285.jpg": Question(
            CAPTION, ("A big bear sits in the grass.", "A bear that is sitting.")
        ),
    }
    found = load_questions(spec, ("000000000285.jpg", "000000000139.jpg"), SQUARE)
    assert [int(image.max()) for image in found.images] == [10, 0]
    assert (task_of(spec), metrics_of(spec)) == ("captioning", (metric_of(CIDER),))
    assert native_size(spec) == (12, 16)


@pytest.mark.parametrize("coco", [False, True])
def test_karpathys_splits(tmp_path: Path, coco: bool) -> None:
    spec = karpathy(tmp_path, coco=coco)
    assert [entry.answers for entry in questions(spec).values()] == [
        ("Two men, 2.", "Two men, 3."),
        ("Two men, 4.", "Two men, 5."),
    ]
    assert len(questions(karpathy(tmp_path, coco=coco, split="train"))) == 1
    assert metrics_of(spec) == (metric_of(CIDER),)
    with pytest.raises(CellError, match="no split 'dev'; allowed: test, train"):
        index_dataset(karpathy(tmp_path, split="dev"), 1, 0)


def test_vqav2(tmp_path: Path) -> None:
    spec = vqav2(tmp_path)
    found = questions(spec)
    assert [key.partition("#")[2] for key in found] == ["262148000", "262148001", "393225000"]
    answers = ("down",) * 6 + ("at table",) * 4
    asked = Question(f"Where is he looking?{SHORT}", answers, answer_type="other")
    assert found["COCO_val2014_000000262148.jpg#262148000"] == asked
    assert metrics_of(spec) == (metric_of(VQA_ACCURACY),)
    with pytest.raises(CellError, match=r"1 questions have no answers in .*first 393225000"):
        index_dataset(vqav2(tmp_path, answered=(262148000, 262148001)), 1, 0)


def test_the_answer_type_is_optional_and_in_no_identity(tmp_path: Path) -> None:
    typed = index_dataset(spec := vqav2(tmp_path), 3, 0)
    path = Path(spec.annotations or "")
    content = json.loads(path.read_text())
    for entry in content["annotations"]:
        del entry["answer_type"]
    write(path, content)
    assert index_dataset(spec, 3, 0) == typed
    assert {question.answer_type for question in questions(spec).values()} == {None}
    content["annotations"][0]["answer_type"] = 7
    write(path, content)
    with pytest.raises(CellError, match="answer_type: a text is needed, got 7"):
        index_dataset(spec, 3, 0)


def test_textvqa(tmp_path: Path) -> None:
    spec = textvqa(tmp_path)
    asked = Question(
        f"what is the brand of this camera?{SHORT}", ("dakota",) * 9 + ("clos culombu",)
    )
    assert questions(spec) == {"003a8ae2ef43b901.jpg#34602": asked}
    assert (task_of(spec), metrics_of(spec)) == ("answering", (metric_of(VQA_ACCURACY),))


def test_pope(tmp_path: Path) -> None:
    spec = pope(tmp_path)
    image = "COCO_val2014_000000310196.jpg"
    assert questions(spec) == {
        f"{image}#1": Question(f"Is there a car 1?{SHORT}", ("yes",), decoy="no"),
        f"{image}#2": Question(f"Is there a car 2?{SHORT}", ("no",), decoy="yes"),
    }
    assert metrics_of(spec) == (metric_of(YES_NO),)
    with pytest.raises(CellError, match="line 2: got label 'maybe'; allowed: yes, no"):
        index_dataset(pope(tmp_path, ("yes", "maybe")), 1, 0)


def test_v_attack_names_an_object_and_what_it_is_to_be_taken_for(tmp_path: Path) -> None:
    spec = v_attack(tmp_path, "caption")
    assert questions(spec)["000000000285.jpg"] == Question(
        "Describe the image briefly in one sentence.",
        ("A bear sits in the grass.",),
        ("bear",),
        "lion",
    )
    assert (task_of(spec), metrics_of(spec)) == ("answering", (metric_of(NAMES_OBJECT),))
    asked = questions(v_attack(tmp_path, "question"))
    assert len(asked) == 6  # three of each image's four, as its code does
    assert asked["000000026926.jpg#3"] == Question(
        "Question 2?", ("fire hydrant",), ("fire hydrant",), "mailbox"
    )


def embedded(of: str, ask: str) -> LanguageDataset:
    return language("embedded", of=of, ask=ask)


def test_embedded_images_are_asked_what_they_show() -> None:
    spec = embedded("cifar10", "what")
    lock = index_dataset(spec, 16, 0)
    found = load_questions(spec, lock.sample_ids, "native")
    assert found.images.shape == (16, 3, 32, 32)
    by_name = {question.answers[0]: question for question in found.questions}
    assert by_name["automobile"].names == ("automobile", "car")
    assert by_name["automobile"].prompt == f"What is shown in this image?{SHORT}"
    assert all(e.decoy not in ("", *e.names) for e in found.questions)
    assert metrics_of(spec) == (metric_of(NAMES_OBJECT),)
    assert native_size(spec) == (32, 32)


def test_embedded_images_are_asked_whether_they_show_something() -> None:
    spec = embedded("cifar10", "whether")
    lock = index_dataset(spec, 10**6, 0)
    found = load_questions(spec, lock.sample_ids, "native")
    assert {*Counter(e.answers[0] for e in found.questions).values()} == {len(lock.sample_ids) // 2}
    for key, question in zip(found.sample_ids, found.questions, strict=True):
        about = key.partition("#")[2]
        article = "an" if about[0] == "a" else "a"
        assert question.prompt == f"Is there {article} {about} in the image?{SHORT}"
    assert {e.decoy for e in found.questions if e.answers == ("yes",)} == {"no"}
    assert metrics_of(spec) == (metric_of(YES_NO),)


def test_embedded_images_have_captions_and_are_those_of_the_classes() -> None:
    spec = embedded("digits", "caption")
    lock = index_dataset(spec, 4, 0)
    found = load_questions(spec, lock.sample_ids, "native")
    assert all(len(e.answers) == 5 and e.names[0] in e.answers[0] for e in found.questions)
    assert (task_of(spec), metrics_of(spec)) == ("captioning", (metric_of(CIDER),))


@pytest.mark.parametrize("of", ["cifar10", "cifar100", "fashion-mnist", "digits"])
def test_embedded_images_are_asked_about_what_they_show(of: str) -> None:
    images = NanoDataset.model_validate({"name": of})
    known = load_images(images, index_dataset(images, 60, 0).sample_ids, "native")
    names = [known.classes[label] for label in known.labels]
    assert len(set(names)) > 5
    shown = dict(zip(known.sample_ids, known.images, strict=True))

    def asked(ask: str, ids: tuple[str, ...]) -> tuple[Question, ...]:
        found = load_questions(embedded(of, ask), ids, "native")
        for key, image in zip(ids, found.images, strict=True):
            assert np.array_equal(image, shown[key.partition("#")[0]])
        return found.questions

    what, caption = asked("what", known.sample_ids), asked("caption", known.sample_ids)
    assert [e.answers[0] for e in what] == [e.names[0] for e in what] == names
    assert [e.names[0] for e in caption] == names
    assert all(name in e.answers[0] for e, name in zip(caption, names, strict=True))
    about = tuple(f"{key}#{name}" for key, name in zip(known.sample_ids, names, strict=True))
    assert {e.answers[0] for e in asked("whether", about)} == {"yes"}
    others = tuple(f"{key}#{e.decoy}" for key, e in zip(known.sample_ids, what, strict=True))
    assert {e.answers[0] for e in asked("whether", others)} == {"no"}


def test_a_subset_is_seeded_and_its_fingerprint_follows_what_is_asked(tmp_path: Path) -> None:
    spec = vqav2(tmp_path)
    few, all_of_it = index_dataset(spec, 2, 1), index_dataset(spec, 3, 1)
    assert set(few.sample_ids) < set(all_of_it.sample_ids)
    assert index_dataset(spec, 2, 1) == few
    reworded = spec.model_copy(update={"prompt": "Say it. {question}"})
    assert index_dataset(reworded, 2, 1).fingerprint != few.fingerprint
    moved = vqav2(tmp_path / "elsewhere")
    assert index_dataset(moved, 2, 1) == few
    answers = json.loads((tmp_path / "annotations.json").read_text())
    for entry in answers["annotations"]:
        entry["answers"][0]["answer"] = "up"
    (tmp_path / "annotations.json").write_text(json.dumps(answers))
    assert index_dataset(spec, 2, 1).fingerprint != few.fingerprint
    picture(tmp_path / "elsewhere" / "val2014", "COCO_val2014_000000262148.jpg", 9)
    assert index_dataset(moved, 3, 1).fingerprint != all_of_it.fingerprint


def test_templates_are_of_no_meaning_to_it(suite: Writer) -> None:
    entry = {"kind": "language", "format": "embedded", "name": "words", "of": "digits"}
    lock = Lock(datasets={"words": DatasetLock("f", ("a",))})

    def ids(template: str) -> list[str]:
        protocol = {"preset": "lvlm", "templates": [template]}
        wanted = suite(**WORDS, datasets=[{**entry, "ask": "what"}], protocol=protocol)
        return [cell.id for cell in expand(wanted, lock)]

    assert ids("a {c}") == ids("the {c}")


def break_images(root: Path) -> str:
    (root / "val2014" / "COCO_val2014_000000393225.jpg").unlink()
    return "393225.jpg: no such image, but the dataset has questions about it"


def break_folder(root: Path) -> str:
    (root / "val2014").rename(root / "val")
    return "val2014: no such file or folder"


def break_json(root: Path) -> str:
    (root / "questions.json").write_text("{")
    return "questions.json: not valid JSON"


def break_format(root: Path) -> str:
    (root / "annotations.json").write_text('{"images": []}')
    return r"annotations.json: is not in the format vqav2 \(KeyError: 'annotations'\)"


def change(root: Path, name: str, **entry: Any) -> None:
    content = json.loads((root / f"{name}.json").read_text())
    content[name][0] |= entry
    (root / f"{name}.json").write_text(json.dumps(content))


def break_questions(root: Path) -> str:
    (root / "questions.json").write_text('{"questions": []}')
    (root / "annotations.json").write_text('{"annotations": []}')
    return r"annotations.json: has no questions"


def break_question(root: Path) -> str:
    change(root, "questions", question=None)
    return r"/questions.json: is not in the format vqav2 \(TypeError"


def break_number(root: Path) -> str:
    change(root, "questions", image_id="x")
    return r"/questions.json: is not in the format vqav2 \(ValueError"


def break_answers(root: Path) -> str:
    change(root, "annotations", answers="dakota")
    return r"/annotations.json: is not in the format vqav2 \(TypeError: a list .* 'dakota'\)"


def break_answer(root: Path) -> str:
    change(root, "annotations", answers=[])
    return "/annotations.json: .*#262148000 has no reference answer"


def break_blank(root: Path) -> str:
    change(root, "annotations", answers=[{"answer": " "}])
    return "/annotations.json: .*#262148000 has no reference answer"


def break_character(root: Path) -> str:
    change(root, "annotations", answers=[{"answer": "a \ud83d"}])
    return r"#262148000: the text 'a \\ud83d' has a lone surrogate"


def break_file(root: Path) -> str:
    (root / "annotations.json").unlink()
    return "annotations.json: no such file or folder"


def break_ids(root: Path) -> str:
    content = json.loads((root / "questions.json").read_text())
    content["questions"].append(content["questions"][0])
    (root / "questions.json").write_text(json.dumps(content))
    return "1 ids appear twice"


@pytest.mark.parametrize(
    "damage",
    [
        *(break_images, break_folder, break_json, break_format, break_file, break_ids),
        *(break_questions, break_question, break_number, break_answers, break_answer, break_blank),
        break_character,
    ],
)
def test_damage_is_the_datasets_problem(
    tmp_path: Path, damage: Callable[[Path], str], suite: Writer
) -> None:
    entry = vqav2(tmp_path)
    reason = damage(tmp_path)
    with pytest.raises(CellError, match=reason):
        index_dataset(entry, 3, 0)
    said = entry.model_dump(exclude_none=True)
    _, problems = resolve(suite(**WORDS, datasets=[said]))
    assert list(problems) == ["datasets.set"]


@pytest.mark.parametrize("name", ["../secret.png", "a/../../b.png", "/etc/x.png", "..", 5, None])
def test_images_are_in_their_folder(tmp_path: Path, name: object) -> None:
    spec = pope(tmp_path)
    entry = {"question_id": 1, "image": name, "text": "Is there a car?", "label": "yes"}
    Path(spec.questions or "").write_text(json.dumps(entry))
    picture(tmp_path, "secret.png", 1)
    with pytest.raises(CellError, match=r"coco_pope_random.json: the image of .*#1 is .*, which "):
        index_dataset(spec, 1, 0)


def test_a_folder_of_images_may_be_made_of_links(tmp_path: Path) -> None:
    spec = pope(tmp_path)
    (tmp_path / "val2014").rename(tmp_path / "elsewhere")
    (tmp_path / "val2014").symlink_to(tmp_path / "elsewhere")
    assert len(questions(spec)) == 2


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"answers": []}, "34602 has no reference answer"),
        ({"answers": "dakota"}, "a list is needed, got 'dakota'"),
        ({"answers": None}, "a list is needed, got None"),
    ],
)
def test_textvqa_needs_answers(tmp_path: Path, entry: dict[str, Any], fault: str) -> None:
    spec = textvqa(tmp_path)
    path = Path(spec.questions or "")
    content = json.loads(path.read_text())
    content["data"][0] |= entry
    path.write_text(json.dumps(content))
    with pytest.raises(CellError, match=fault):
        index_dataset(spec, 1, 0)


@pytest.mark.parametrize("sentences", [[], "Two men"])
def test_images_of_karpathys_splits_need_captions(tmp_path: Path, sentences: object) -> None:
    spec = karpathy(tmp_path)
    path = Path(spec.annotations or "")
    content = json.loads(path.read_text())
    content["images"][1]["sentences"] = sentences
    path.write_text(json.dumps(content))
    with pytest.raises(CellError, match=r"has no reference answer|a list is needed"):
        index_dataset(spec, 1, 0)


@pytest.mark.parametrize(
    ("key", "content", "fault"),
    [
        (
            "questions",
            [],
            "vqa_main.json: has no question about 000000000285.jpg of .*descriptions",
        ),
        (
            "questions",
            [{"image": "000000000285.jpg", "vqa": [" "]}],
            "vqa_main.json: has no question",
        ),
        ("questions", [{"image": "000000000285.jpg", "vqa": "What?"}], "vqa_main.json: is not in"),
        ("targets", [], "obj_sim.json: has no target for 000000000285.jpg of .*descriptions"),
        ("targets", [{"image": "x", "replace": "lion"}], "obj_sim.json: is not in the format"),
        ("objects", [{"image": "x", "caption": "bear"}], "descriptions_main.json: is not in"),
    ],
)
def test_v_attacks_three_files_go_together(
    tmp_path: Path, key: str, content: object, fault: str
) -> None:
    spec = v_attack(tmp_path, "question")
    Path(getattr(spec, key)).write_text(json.dumps(content))
    with pytest.raises(CellError, match=fault):
        index_dataset(spec, 1, 0)


def test_an_object_has_a_name(tmp_path: Path) -> None:
    spec = v_attack(tmp_path, "caption")
    path = Path(spec.objects or "")
    path.write_text(path.read_text().replace("Bear:", ":"))
    with pytest.raises(CellError, match=r"main.json: 000000000285.jpg has .* no name"):
        index_dataset(spec, 1, 0)


def test_files_are_read_once_while_they_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = vqav2(tmp_path)
    read: list[str] = []

    whole = Path.read_bytes

    def content(path: Path) -> bytes:
        if path.suffix == ".json":
            read.append(path.name)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", content)
    lock = index_dataset(spec, 3, 0)
    load_questions(spec, lock.sample_ids, SQUARE)
    native_size(spec)
    assert sorted(read) == ["annotations.json", "questions.json"]
    change(tmp_path, "annotations", answers=[{"answer": "a rather long one"}])
    read.clear()
    found = load_questions(spec, lock.sample_ids, SQUARE)
    assert found.questions[0].answers == ("a rather long one",)
    assert sorted(read) == ["annotations.json", "questions.json"]
    (tmp_path / "questions.json").unlink()
    with pytest.raises(CellError, match=r"questions.json: cannot be read"):
        load_questions(spec, lock.sample_ids, SQUARE)


def test_what_is_missing_is_told_before_a_run(tmp_path: Path) -> None:
    spec = vqav2(tmp_path)
    assert source_of(spec).missing(0) is None
    assert source_of(embedded("digits", "what")).missing(0) is None
    break_file(tmp_path)
    assert "annotations.json: no such file or folder" in (source_of(spec).missing(0) or "")


def test_there_are_no_classes(tmp_path: Path) -> None:
    spec = pope(tmp_path)
    for work in (
        lambda: load_images(spec, ("1",), SQUARE),
        lambda: read_labels(spec, DatasetLock(""), 0),
    ):
        with pytest.raises(CellError, match="have questions; images with labels are needed"):
            work()


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (
            {"format": "vqav2", "questions": "q", "images": "i", "split": "test"},
            r"datasets.0: got .*; the format vqav2 needs the keys questions, annotations, images; "
            "missing: annotations; not used by the format: split",
        ),
        ({"format": "vqa"}, r"datasets.0.format: got 'vqa'; .*'coco-captions', 'karpathy'"),
        (
            {"format": "embedded", "of": "digits", "ask": "question"},
            "allowed for the format embedded: what, whether, caption",
        ),
        (
            {"format": "coco-captions", "annotations": "a", "images": "i", "ask": "question"},
            "allowed for the format coco-captions: caption$",
        ),
        (
            {
                "format": "v-attack", "objects": "o", "targets": "t", "images": "i",
                "ask": "caption", "questions": "q",
            },
            "missing: none; not used by the format: questions",
        ),
        ({"format": "embedded", "of": "digits"}, "needs the keys ask, of; missing: ask"),
        ({"format": "embedded", "of": "digit", "ask": "what"}, r"datasets.0.of: got 'digit'"),
        (
            {"format": "v-attack", "objects": "o", "targets": "t", "images": "i"},
            "needs the keys ask, objects, targets, images; missing: ask",
        ),
        (
            {
                "format": "v-attack", "objects": "o", "targets": "t", "images": "i",
                "ask": "question",
            },
            "missing: questions",
        ),
        (
            {"format": "pope", "questions": "q", "images": "i", "prompt": "Well?"},
            r"the `prompt` of this dataset needs the placeholder \{question\}",
        ),
        (
            {"format": "karpathy", "annotations": "a", "images": "i", "prompt": "{question}"},
            r"has no question and must not contain the placeholder \{question\}",
        ),
    ],
)  # fmt: skip
def test_faults_say_what_a_format_needs(suite: Writer, entry: dict[str, Any], fault: str) -> None:
    with pytest.raises(SuiteError, match=fault) as caught:
        suite(datasets=[{"kind": "language", "name": "x", **entry}])
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    ("make", "ask"),
    [(coco_captions, "caption"), (karpathy, "caption"), (vqav2, "question"), (pope, "question")],
)
def test_the_one_thing_that_can_be_asked_may_be_said(
    tmp_path: Path, make: Callable[[Path], LanguageDataset], ask: str
) -> None:
    silent = make(tmp_path)
    said = language(
        silent.format, **{**silent.model_dump(exclude={"format", "kind", "name"}), "ask": ask}
    )
    assert said.question_type == silent.question_type == ask
    assert index_dataset(said, 3, 0) == index_dataset(silent, 3, 0)


def test_a_suite_has_one_task(suite: Writer) -> None:
    what, caption = (
        {"kind": "language", "format": "embedded", "name": ask, "of": "digits", "ask": ask}
        for ask in ("what", "caption")
    )
    fault = r"each task needs its own suite: digits \(accuracy among classes\); "
    with pytest.raises(SuiteError, match=fault + r"what \(answers in words\)"):
        suite(datasets=["digits", what])
    with pytest.raises(SuiteError, match=r"what \(answers in words\); caption \(captions"):
        suite(datasets=[what, caption])
    whether = {**what, "name": "whether", "ask": "whether"}
    assert len(suite(**WORDS, datasets=[what, whether]).datasets) == 2
