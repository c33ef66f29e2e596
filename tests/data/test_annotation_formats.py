"""Published annotation files: further layouts, and files whose ids repeat or whose images lack."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import CellError
from bench.core.language_types import Question
from bench.data import index_dataset, load_questions
from bench.suite.metrics import CHOICE, CIDER, VQA_ACCURACY, metric_of, metrics_of
from bench.suite.specs import LanguageDataset
from tests.support.question_files import (
    coco_captions,
    flickr_tokens,
    language,
    pope,
    scienceqa,
    textcaps,
    v_attack,
    vizwiz,
    vizwiz_captions,
    vqav2,
)


def questions(spec: LanguageDataset) -> dict[str, Question]:
    lock = index_dataset(spec, 100, 0)
    found = load_questions(spec, lock.sample_ids, "native")
    return dict(zip(found.sample_ids, found.questions, strict=True))


def captions(spec: LanguageDataset) -> dict[str, tuple[str, ...]]:
    assert metrics_of(spec) == (metric_of(CIDER),)
    return {key: question.answers for key, question in questions(spec).items()}


def remarks(spec: LanguageDataset) -> list[tuple[str, str]]:
    return [(remark.name, remark.text) for remark in index_dataset(spec, 1, 0).remarks]


def change(path: str | None, edit: Any) -> None:
    content = json.loads(Path(str(path)).read_text())
    edit(content)
    Path(str(path)).write_text(json.dumps(content))


def test_captions_that_vizwiz_does_not_count_are_skipped(tmp_path: Path) -> None:
    spec = vizwiz_captions(tmp_path)
    assert captions(spec) == {
        "VizWiz_val_00000000.jpg": ("A bottle of pills.",),
        "VizWiz_val_00000002.jpg": ("A dog.",),
    }
    assert remarks(spec) == [
        (
            "captions-skipped",
            "2 rejected or precanned captions were skipped, as VizWiz does (first: annotation 1)",
        ),
        (
            "images-without-captions",
            "1 images without captions were skipped (first: VizWiz_val_00000001.jpg)",
        ),
    ]


def test_captions_without_an_image_are_remarked_on(tmp_path: Path) -> None:
    spec = coco_captions(tmp_path)
    change(spec.annotations, lambda content: content["images"].pop(0))
    assert list(captions(spec)) == ["000000000285.jpg"]
    assert remarks(spec) == [
        (
            "captions-without-image",
            "1 images with captions have no entry in `images` (first: image_id 139)",
        ),
        (
            "images-without-captions",
            "1 images without captions were skipped (first: 000000000632.jpg)",
        ),
    ]


def test_flickrs_tokens(tmp_path: Path) -> None:
    spec = flickr_tokens(tmp_path)
    assert captions(spec) == {
        "1000092795.jpg": ("Two men , 0-0 .", "Two men , 0-1 ."),
        "10002456.jpg": ("Two men , 1-0 .", "Two men , 1-1 ."),
    }
    assert remarks(spec) == [
        (
            "captions-skipped",
            "2 captions of names that are not images were skipped (first: 225_58.jpg.1)",
        )
    ]


@pytest.mark.parametrize("listed", ["10002456.jpg\n", "10002456\r\n"])  # Flickr8k, Flickr30k
def test_a_split_of_flickrs_tokens_is_a_list_of_images(tmp_path: Path, listed: str) -> None:
    assert list(captions(flickr_tokens(tmp_path, listed))) == ["10002456.jpg"]


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ("10002456.jpg\n7.jpg\n", r"test.txt: 1 of 2 images have no captions .*first: '7.jpg.jpg'"),
        ("10002456.jpg\n10002456\n", r"test.txt: names '10002456.jpg' twice"),
        ("", "test.txt: is empty"),
    ],
)
def test_lists_of_images_are_checked(tmp_path: Path, listed: str, reason: str) -> None:
    with pytest.raises(CellError, match=reason):
        index_dataset(flickr_tokens(tmp_path, listed), 1, 0)


@pytest.mark.parametrize("line", ["1.jpg#0 A man.", "1.jpg\tA man.", "1.jpg#a\tA man."])
def test_lines_that_are_no_tokens_are_named(tmp_path: Path, line: str) -> None:
    spec = flickr_tokens(tmp_path)
    path = Path(str(spec.annotations))
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(CellError, match=r"results_20130124.token, line 7: got .*NAME.jpg#NUMBER"):
        index_dataset(spec, 1, 0)


def test_textcaps_captions_of_an_image_belong_together(tmp_path: Path) -> None:
    assert captions(textcaps(tmp_path)) == {
        "0054c91397f2fe05.jpg": ("A sign, 0-0.", "A sign, 0-1."),
        "005635e119b9f32f.jpg": ("A sign, 1-0.", "A sign, 1-1."),
    }


def test_vizwiz(tmp_path: Path) -> None:
    spec = vizwiz(tmp_path)
    prompt = (
        "What is 1?\nWhen the provided information is insufficient, respond with 'Unanswerable'."
        "\nAnswer the question using a single word or phrase."
    )
    found = questions(spec)
    assert found["VizWiz_val_00000001.jpg"] == Question(
        prompt, ("advil",) * 9 + ("medicine",), answer_type="other"
    )
    assert found["VizWiz_val_00000000.jpg"].answer_type == "unanswerable"
    assert metrics_of(spec) == (metric_of(VQA_ACCURACY),)
    change(spec.questions, lambda content: content[0].pop("answers"))  # as in test.json
    with pytest.raises(CellError, match=r"not in the format vizwiz .KeyError: 'answers'"):
        index_dataset(spec, 1, 0)


def test_scienceqa_asks_for_a_letter_where_there_is_an_image(tmp_path: Path) -> None:
    spec = scienceqa(tmp_path)
    prompt = (
        "Context: The picture shows layers.\nWhich is older?\nA. A fossil\nB. a tooth\nC. a shell"
        "\nAnswer with the option's letter from the given choices directly."
    )
    assert questions(spec) == {"test/1/image.png#1": Question(prompt, ("B",))}
    assert metrics_of(spec) == (metric_of(CHOICE),)
    assert remarks(spec) == [
        (
            "questions-without-image",
            "1 of 2 questions have no image and are not asked (first: question 2)",
        )
    ]
    (other,) = questions(scienceqa(tmp_path, split="val")).values()
    assert other.prompt.startswith("Which is older?\nA. ")
    with pytest.raises(CellError, match="no split 'dev'; allowed: test, val"):
        index_dataset(scienceqa(tmp_path, split="dev"), 1, 0)
    change(spec.questions, lambda content: content["1"].update(answer=3))
    with pytest.raises(CellError, match="question 1: answer 3 of 3 choices"):
        index_dataset(spec, 1, 0)


def test_pope_may_be_an_array(tmp_path: Path) -> None:
    lines = pope(tmp_path)
    array = Path(str(lines.questions)).with_name("aokvqa_pope_seem_random.json")
    entries = [json.loads(line) for line in Path(str(lines.questions)).read_text().splitlines()]
    array.write_text(f"\n{json.dumps(entries, indent=4)}")
    spec = language("pope", questions=str(array), images=lines.images)
    assert questions(spec) == questions(lines)
    assert index_dataset(spec, 9, 0) == index_dataset(lines, 9, 0)
    entries[1]["label"] = "maybe"
    array.write_text(json.dumps(entries))
    with pytest.raises(CellError, match=r"random.json, entry 2: got label 'maybe'"):
        index_dataset(spec, 9, 0)


def test_the_last_entry_of_an_image_of_coco_300_counts(tmp_path: Path) -> None:
    caption, asked = v_attack(tmp_path, "caption"), v_attack(tmp_path, "question")
    assert remarks(asked) == []
    bear = "000000000285.jpg"
    for path, key, texts in (
        (caption.objects, "caption", ["Bear: A bear sits at the left."]),
        (caption.targets, "replace", ["wolf: A wolf sits in the grass."]),
        (asked.questions, "vqa", ["Which animal?"]),
    ):
        change(
            path, lambda content, key=key, texts=texts: content.append({"image": bear, key: texts})
        )
    found = questions(caption)
    assert (len(found), found[bear].answers) == (2, ("A bear sits at the left.",))
    assert (found[bear].names, found[bear].decoy) == (("bear",), "wolf")
    assert [key for key in questions(asked) if key.startswith(bear)] == [f"{bear}#1"]
    assert questions(asked)[f"{bear}#1"].prompt == "Which animal?"
    text = "1 images appear twice; their last entries count (first: 000000000285.jpg)"
    assert remarks(asked) == [("repeated-images", text)]


def test_a_target_that_is_the_object_itself_stays_and_is_remarked_on(tmp_path: Path) -> None:
    spec = v_attack(tmp_path, "caption")
    change(spec.targets, lambda content: content[0].update(replace=["BEAR: A bear in the grass."]))
    assert questions(spec)["000000000285.jpg"].decoy == "bear"
    assert remarks(spec) == [
        (
            "target-is-object",
            "1 images have their own object as the target (first: 000000000285.jpg: bear)",
        )
    ]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], r"1 images have no `replace` \(first: 000000000285.jpg\)"),
        ([5], "not in the format v-attack .TypeError: a text is needed, got 5"),
    ],
)
def test_entries_of_coco_300_without_a_text_are_named(
    tmp_path: Path, texts: list[object], reason: str
) -> None:
    spec = v_attack(tmp_path, "caption")
    change(spec.targets, lambda content: content[0].update(replace=texts))
    with pytest.raises(CellError, match=rf"coco300_target_obj_sim.json: .*{reason}"):
        index_dataset(spec, 1, 0)


def test_answers_of_other_questions_are_remarked_on(tmp_path: Path) -> None:
    spec = vqav2(tmp_path)
    change(spec.questions, lambda content: content["questions"].pop())
    assert len(questions(spec)) == 2
    assert remarks(spec) == [
        (
            "answers-without-question",
            "1 answers belong to no question of questions.json (first: question_id 393225000)",
        )
    ]
    change(spec.annotations, lambda c: c["annotations"].append(c["annotations"][0]))
    with pytest.raises(CellError, match=r"annotations.json: 1 question ids appear twice"):
        index_dataset(spec, 1, 0)
