"""Small files in the exact layout of published questions and captions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.suite.specs import LanguageDataset
from tests.conftest import png

# changes to the small suite: a model that answers in words, and no attacks
WORDS: dict[str, Any] = {
    "models": {"Tiny": {"kind": "lvlm-tiny", "family": "llava"}},
    "attacks": None,
    "threats": None,
}


def picture(folder: Path, name: str, value: int, size: tuple[int, int] = (12, 16)) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(np.full((*size, 3), value, np.uint8)))


def write(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


def language(format: str, **keys: Any) -> LanguageDataset:
    return LanguageDataset.model_validate(
        {"kind": "language", "format": format, "name": "set", **keys}
    )


def coco_captions(root: Path) -> LanguageDataset:
    """As captions_val2017.json; the last image has no captions."""
    names = ["000000000139.jpg", "000000000285.jpg", "000000000632.jpg"]
    for number, name in enumerate(names):
        picture(root / "val2017", name, 10 * number)
    content = {
        "info": {"description": "COCO 2017 Dataset", "year": 2017},
        "licenses": [{"id": 1, "name": "A licence", "url": ""}],
        "images": [
            {
                "license": 1, "file_name": name, "coco_url": "", "height": 12, "width": 16,
                "date_captured": "2013-11-21 01:34:01", "flickr_url": "", "id": int(name[:-4]),
            }
            for name in names
        ],
        "annotations": [
            {"image_id": 285, "id": 1, "caption": "A big bear sits  in the grass.\n"},
            {"image_id": 139, "id": 2, "caption": "A woman stands in a dining area."},
            {"image_id": 285, "id": 3, "caption": "A bear that is sitting."},
        ],
    }  # fmt: skip
    annotations = write(root / "annotations" / "captions_val2017.json", content)
    return language("coco-captions", annotations=annotations, images=str(root / "val2017"))


def karpathy(root: Path, *, coco: bool = False, split: str | None = None) -> LanguageDataset:
    """As dataset_flickr30k.json, or as dataset_coco.json."""
    images = []
    for number, part in enumerate(("train", "test", "test")):
        name = f"COCO_val2014_{number:012d}.jpg" if coco else f"10000{number}.jpg"
        picture(root / "images" / ("val2014" if coco else ""), name, 10 * number)
        images.append(
            {
                "sentids": [2 * number, 2 * number + 1],
                "imgid": number,
                "sentences": [
                    {
                        "tokens": ["two", "men"],
                        "raw": f"Two men, {i}.",
                        "imgid": number,
                        "sentid": i,
                    }
                    for i in (2 * number, 2 * number + 1)
                ],
                "split": part,
                "filename": name,
                **({"filepath": "val2014", "cocoid": number} if coco else {}),
            }
        )
    content = {"images": images, "dataset": "coco" if coco else "flickr30k"}
    annotations = write(root / "dataset.json", content)
    return language("karpathy", annotations=annotations, images=str(root / "images"), split=split)


def vqav2(
    root: Path, answered: Sequence[int] = (262148000, 262148001, 393225000)
) -> LanguageDataset:
    """As v2_OpenEnded_mscoco_val2014_questions.json and v2_mscoco_val2014_annotations.json."""
    head = {"info": {}, "license": {}, "data_type": "mscoco", "data_subtype": "val2014"}
    texts = {262148000: "Where is he looking?", 262148001: "Is it day?", 393225000: "What is it?"}
    for image in (262148, 393225):
        picture(root / "val2014", f"COCO_val2014_{image:012d}.jpg", image % 256)
    questions = [
        {"image_id": key // 1000, "question": text, "question_id": key}
        for key, text in texts.items()
    ]
    annotations = [
        {
            "question_type": "none of the above", "multiple_choice_answer": "down",
            "answers": [
                {"answer": "down" if i < 6 else "at table", "answer_confidence": "yes",
                 "answer_id": i + 1}
                for i in range(10)
            ],
            "image_id": key // 1000, "answer_type": "other", "question_id": key,
        }
        for key in answered
    ]  # fmt: skip
    return language(
        "vqav2",
        questions=write(
            root / "questions.json", {**head, "task_type": "Open-Ended", "questions": questions}
        ),
        annotations=write(root / "annotations.json", {**head, "annotations": annotations}),
        images=str(root / "val2014"),
    )


def textvqa(root: Path) -> LanguageDataset:
    """As TextVQA_0.5.1_val.json."""
    picture(root / "train_images", "003a8ae2ef43b901.jpg", 7)
    content = {
        "dataset_type": "val", "dataset_name": "textvqa", "dataset_version": "0.5.1",
        "data": [
            {
                "question": "what is the brand of this camera?", "image_id": "003a8ae2ef43b901",
                "image_classes": ["Camera"], "flickr_original_url": "", "flickr_300k_url": "",
                "image_width": 16, "image_height": 12, "answers": ["dakota"] * 9 + ["clos culombu"],
                "question_tokens": ["what", "is"], "question_id": 34602, "set_name": "val",
            }
        ],
    }  # fmt: skip
    questions = write(root / "TextVQA_0.5.1_val.json", content)
    return language("textvqa", questions=questions, images=str(root / "train_images"))


def pope(root: Path, labels: Sequence[str] = ("yes", "no")) -> LanguageDataset:
    """As coco_pope_random.json, a JSON object a line."""
    name = "COCO_val2014_000000310196.jpg"
    picture(root / "val2014", name, 3)
    lines = [
        json.dumps(
            {"question_id": i, "image": name, "text": f"Is there a car {i}?", "label": label}
        )
        for i, label in enumerate(labels, 1)
    ]
    path = root / "coco_pope_random.json"
    path.write_text("\n".join(lines) + "\n")
    return language("pope", questions=str(path), images=str(root / "val2014"))


def v_attack(root: Path, ask: str) -> LanguageDataset:
    """As coco300_*.json, whose fields V-Attack's notebooks read."""
    images = ("000000000285.jpg", "000000026926.jpg")
    shown = (("Bear", "A bear sits in the grass."), ("Fire hydrant", "A fire hydrant at a kerb."))
    wanted = (("lion", "A lion sits in the grass."), ("mailbox", "A mailbox at a kerb."))
    for number, image in enumerate(images):
        picture(root / "val2017", image, 50 * number)
    objects = [
        {"image": image, "caption": [f"{name}: {text}"]}
        for image, (name, text) in zip(images, shown, strict=True)
    ]
    targets = [
        {"image": image, "replace": [f"{name}: {text}"]}
        for image, (name, text) in zip(images, wanted, strict=True)
    ]
    vqa = [{"image": image, "vqa": [f"Question {n}?" for n in range(4)]} for image in images]
    asked = {"questions": write(root / "coco300_vqa_main.json", vqa)} if ask == "question" else {}
    return language(
        "v-attack",
        ask=ask,
        objects=write(root / "coco300_object_descriptions_main.json", objects),
        targets=write(root / "coco300_target_obj_sim.json", targets),
        images=str(root / "val2017"),
        **asked,
    )


def vizwiz_captions(root: Path) -> LanguageDataset:
    """As annotations/val.json of VizWiz-Captions."""
    for number in range(3):
        picture(root / "val", f"VizWiz_val_{number:08d}.jpg", 10 * number)
    images = [
        {"file_name": f"VizWiz_val_{i:08d}.jpg", "vizwiz_url": "", "id": 23431 + i,
         "text_detected": False}
        for i in range(3)
    ]  # fmt: skip
    texts = [
        (0, "A bottle of pills.", False, False),
        (0, "Quality issues are too severe to recognize visual content.", False, True),
        (1, "spam", True, False),
        (2, "A dog.", False, False),
    ]
    annotations = [
        {"caption": text, "image_id": 23431 + image, "is_precanned": precanned,
         "is_rejected": rejected, "id": number, "text_detected": False}
        for number, (image, text, rejected, precanned) in enumerate(texts)
    ]  # fmt: skip
    path = write(root / "val.json", {"info": {}, "images": images, "annotations": annotations})
    return language("coco-captions", annotations=path, images=str(root / "val"))


def flickr_tokens(root: Path, listed: str | None = None) -> LanguageDataset:
    """As Flickr8k.token.txt: it names a file that is no image."""
    lines = []
    for number, name in enumerate(("1000092795.jpg", "10002456.jpg", "225_58.jpg.1")):
        picture(root / "images", name, 10 * number)
        lines += [f"{name}#{i}\tTwo  men , {number}-{i} ." for i in range(2)]
    path = root / "results_20130124.token"
    path.write_text("\n".join(lines) + "\n")
    keys = {}
    if listed is not None:
        keys["split"] = str(root / "test.txt")
        (root / "test.txt").write_text(listed)
    return language("flickr-tokens", annotations=str(path), images=str(root / "images"), **keys)


def textcaps(root: Path) -> LanguageDataset:
    """As TextCaps_0.1_val.json: an entry per caption."""
    names = ("0054c91397f2fe05", "005635e119b9f32f")
    for number, name in enumerate(names):
        picture(root / "train_images", f"{name}.jpg", 10 * number)
    content = {
        "dataset_type": "val", "dataset_name": "textcaps", "dataset_version": "0.1",
        "data": [
            {
                "image_id": name, "image_classes": [], "flickr_original_url": "",
                "image_width": 16, "image_height": 12, "set_name": "val", "image_name": name,
                "image_path": f"train/{name}.jpg", "caption_id": 2 * number + i,
                "caption_str": f"A sign, {number}-{i}.", "caption_tokens": [],
                "reference_strs": [f"A sign, {number}-{j}." for j in range(2)],
                "reference_tokens": [],
            }
            for i in range(2) for number, name in enumerate(names)
        ],
    }  # fmt: skip
    annotations = write(root / "TextCaps_0.1_val.json", content)
    return language("textcaps", annotations=annotations, images=str(root / "train_images"))


def vizwiz(root: Path) -> LanguageDataset:
    """As val.json of VizWiz-VQA."""
    entries = []
    for number, (answer, kind) in enumerate((("unanswerable", "unanswerable"), ("advil", "other"))):
        name = f"VizWiz_val_{number:08d}.jpg"
        picture(root / "val", name, 10 * number)
        answers = [{"answer": answer, "answer_confidence": "yes"}] * 9
        entries.append(
            {"image": name, "question": f"What is {number}?", "answer_type": kind,
             "answers": [*answers, {"answer": "medicine", "answer_confidence": "maybe"}],
             "answerable": number}
        )  # fmt: skip
    return language("vizwiz", questions=write(root / "val.json", entries), images=str(root / "val"))


def scienceqa(root: Path, **keys: Any) -> LanguageDataset:
    """As problems.json; the second question has no image, the third is of another split."""
    content = {}
    for number, (image, part) in enumerate(
        (("image.png", "test"), (None, "test"), ("i.png", "val"))
    ):
        pid = str(number + 1)
        if image:
            picture(root / "images" / part / pid, image, 10 * number)
        content[pid] = {
            "question": "Which is older?", "choices": ["A fossil", "a tooth", "a shell"],
            "answer": 1, "hint": "" if number else "The picture shows layers.", "image": image,
            "task": "closed choice", "grade": "grade7", "subject": "natural science",
            "topic": "earth-science", "category": "Fossils", "skill": "Compare ages",
            "lecture": "", "solution": "", "split": part,
        }  # fmt: skip
    questions = write(root / "problems.json", content)
    return language("scienceqa", questions=questions, images=str(root / "images"), **keys)
