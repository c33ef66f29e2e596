"""Readers of published files of captions.

coco-captions  {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}
               VizWiz-Captions has the same layout; its annotations have "is_rejected" and
               "is_precanned" too. Such captions are skipped, as its evaluation does
               (`VizWiz(..., ignore_rejected=True, ignore_precanned=True)`).
karpathy       {"images": [{"filename", "split", "sentences": [{"raw"}], "filepath"?}]}
flickr-tokens  a line `NAME.jpg#NUMBER<TAB>CAPTION` per caption: results_20130124.token of
               Flickr30k, Flickr8k.token.txt
textcaps       {"data": [{"image_id", "caption_str"}]}, an entry per caption; as its evaluation
               (MMF, textcaps_eval.py) does, an image's references are all of its captions
"""

from collections.abc import Mapping
from pathlib import Path

from bench.core.errors import CellError
from bench.core.identifiers import shown
from bench.core.language_types import Question
from bench.core.suite_paths import find_path
from bench.data.annotation_reading import (
    Note,
    Reader,
    Samples,
    as_list,
    as_text,
    in_split,
    json_content,
    note_all,
    one_line,
    text_lines,
)
from bench.data.questions import QuestionSample
from bench.data.split import cell_errors
from bench.suite.specs import LanguageDataset
from radapt.text_files import read_list

_NOT_COUNTED = ("is_rejected", "is_precanned")  # of VizWiz-Captions


def _coco_captions(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    with json_content(spec, path) as content:
        captions: dict[int, list[str]] = {}
        skipped = []
        for entry in content["annotations"]:
            if any(entry.get(key) for key in _NOT_COUNTED):
                skipped.append(f"annotation {entry['id']}")
            else:
                captions.setdefault(entry["image_id"], []).append(one_line(entry["caption"]))
        note_all(
            note, "captions-skipped", skipped,
            "rejected or precanned captions were skipped, as VizWiz does",
        )  # fmt: skip
        named = {entry["id"] for entry in content["images"]}
        unknown = [f"image_id {key}" for key in captions if key not in named]
        note_all(
            note, "captions-without-image", unknown,
            "images with captions have no entry in `images`",
        )  # fmt: skip
        without = [as_text(entry["file_name"]) for entry in content["images"]
                   if entry["id"] not in captions]  # fmt: skip
        note_all(note, "images-without-captions", without, "images without captions were skipped")
        for entry in content["images"]:
            if entry["id"] in captions:
                yield _captioned(spec, entry["file_name"], captions[entry["id"]])


def _karpathy(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    with json_content(spec, path) as content:
        for entry in in_split(spec, path, as_list(content["images"])):
            name = entry["filename"]
            captions = [one_line(each["raw"]) for each in as_list(entry["sentences"])]
            key, sample = _captioned(spec, name, captions)
            # COCO's images are in several folders, Flickr30k's in a single folder
            image = f"{entry['filepath']}/{name}" if "filepath" in entry else name
            yield key, QuestionSample(image, sample.question)


def _flickr_tokens(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    captions: dict[str, list[str]] = {}
    damaged = []
    for number, line in text_lines(path):
        key, tab, caption = line.partition("\t")
        name, mark, count = key.rpartition("#")
        if not (name and mark and tab and count.isdigit()):
            raise CellError(
                f"{path}, line {number}: got {shown(line)}; needed: NAME.jpg#NUMBER, a tab, and a "
                "caption"
            )
        if name.lower().endswith((".jpg", ".jpeg", ".png")):
            captions.setdefault(name, []).append(one_line(caption))
        else:  # Flickr8k.token.txt has five captions of `2258277193_586949ec62.jpg.1`
            damaged.append(name)
    note_all(
        note, "captions-skipped", damaged, "captions of names that are not images were skipped"
    )
    for name, texts in _listed(spec, path, captions).items():
        yield _captioned(spec, name, texts)


def listed_images(spec: LanguageDataset) -> Path | None:
    """Return the file with the images of a split of Flickr's tokens; None if there is none."""
    return find_path(spec.split) if spec.format == "flickr-tokens" and spec.split else None


def _listed(
    spec: LanguageDataset, path: Path, captions: Mapping[str, list[str]]
) -> Mapping[str, list[str]]:
    """Return the captions of the images that the split's list names, or all of them."""
    listed = listed_images(spec)
    if listed is None:
        return captions
    with cell_errors():
        names = read_list(listed)
    # the splits of Flickr30k Entities have names without `.jpg`
    wanted = [name if name in captions else f"{name}.jpg" for name in names]
    if missing := [name for name in wanted if name not in captions]:
        raise CellError(
            f"{listed}: {len(missing)} of {len(names)} images have no captions in {path} "
            f"(first: {shown(missing[0])})"
        )
    if len(set(wanted)) < len(wanted):
        twice = next(name for name in wanted if wanted.count(name) > 1)
        raise CellError(f"{listed}: names {shown(twice)} twice")
    return {name: captions[name] for name in wanted}


def _textcaps(spec: LanguageDataset, path: Path, note: Note) -> Samples:
    with json_content(spec, path) as content:
        captions: dict[str, list[str]] = {}
        for entry in content["data"]:
            name = f"{as_text(entry['image_id'])}.jpg"
            captions.setdefault(name, []).append(one_line(entry["caption_str"]))
        for name, texts in captions.items():
            yield _captioned(spec, name, texts)


def _captioned(spec: LanguageDataset, name: str, captions: list[str]) -> tuple[str, QuestionSample]:
    """Return the sample of an image with its captions; its id is the image's name."""
    return name, QuestionSample(name, Question(spec.prompt_for(), tuple(captions)))


CAPTION_READERS: Mapping[str, Reader] = {
    "coco-captions": _coco_captions,
    "karpathy": _karpathy,
    "flickr-tokens": _flickr_tokens,
    "textcaps": _textcaps,
}
