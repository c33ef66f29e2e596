"""Texts of users that are not UTF-8 with line feeds: read, or named with file and line."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.compare.published import read_published
from bench.core.errors import CellError, UserError
from bench.data import index_dataset
from bench.suite.load import Against, load_suite
from bench.suite.specs import FolderDataset, WebDataset
from radapt.images import open_images
from radapt.recipe import SHIPPED, load_recipe
from radapt.text_files import decode_text, read_json, read_list
from tests.data.test_class_folders import add
from tests.data.test_shard_members import PAIR, shard
from tests.support.question_files import pope

NAMES = ("façade", "naïve art", "cœur")
TEXT = "façade\nnaïve art\ncœur\n"
FORMS: dict[str, Callable[[str], bytes]] = {
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "Windows line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "old Mac line ends": lambda text: text.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_utf8_is_read(tmp_path: Path, form: Callable[[str], bytes]) -> None:
    names, prompts = tmp_path / "set/classnames.txt", "a {c}.\nthe {c}.\n"
    for folder in "abc":
        add(tmp_path / "set" / folder / "0.png")
    names.write_bytes(form(TEXT))
    (tmp_path / "set/zeroshot_classification_templates.txt").write_bytes(form(prompts))
    lock = index_dataset(FolderDataset(kind="folder", name="x", path=f"{tmp_path}/set"), 3, 0)
    assert (lock.classes, lock.templates) == (NAMES, ("a {c}.", "the {c}."))
    assert open_images(tmp_path / "set", (8, 8)).classes == NAMES
    suite = Path("suites/quickstart.yaml").read_text("utf-8")
    (tmp_path / "suite.yaml").write_bytes(form(suite))
    assert load_suite(tmp_path / "suite.yaml") == load_suite("suites/quickstart.yaml")
    recipe = sorted(SHIPPED.glob("*.yaml"))[0]
    (tmp_path / "recipe.yaml").write_bytes(form(recipe.read_text("utf-8")))
    assert load_recipe(str(tmp_path / "recipe.yaml")) == load_recipe(str(recipe))
    (tmp_path / "p.csv").write_bytes(
        form('model,dataset,attack,eps,metric,value_percent,note\nA,d,clean,,accuracy,50,"é\né"\n')
    )
    (row,) = read_published(Against(file=str(tmp_path / "p.csv")))
    assert (row.model, row.note) == ("A", "é\né")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_json_lines_is_read(tmp_path: Path, form: Callable[[str], bytes]) -> None:
    spec = pope(tmp_path)
    plain = index_dataset(spec, 9, 0)
    path = Path(spec.questions or "")
    path.write_bytes(form(path.read_text("utf-8") + "\n\n"))
    assert index_dataset(spec, 9, 0) == plain


def test_a_line_separator_inside_a_json_text_ends_no_line(tmp_path: Path) -> None:
    spec = pope(tmp_path)
    path = Path(spec.questions or "")
    first, rest = path.read_text("utf-8").split("\n", 1)
    entry = {**json.loads(first), "text": "Is\u2028it\u0085there?"}
    path.write_text(json.dumps(entry, ensure_ascii=False) + "\n" + rest, "utf-8")
    assert len(index_dataset(spec, 9, 0).sample_ids) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\r\nb\r\ncaf\xe9\r\n", r"names\.txt, line 3: the byte 0xe9 is not UTF-8 \(after 'caf'"),
        (b"caf\xc3", r"line 1: the byte 0xc3 is not UTF-8"),
        ("a\nb\n".encode("utf-16"), r"names\.txt: is UTF-16; save it as UTF-8"),
        ("a\nb\n".encode("utf-32"), r"names\.txt: is UTF-32"),
        (b"a\n \nb\n", r"names\.txt, line 2: is empty, which would shift the lines after it"),
        (b"\na\n", r"line 1: is empty"),
        (b"\xef\xbb\xbf\r\n \n", r"names\.txt: is empty"),
        ("a\nb\u2028c\n".encode(), r"line 2: 'b\\u2028c' has the control character U\+2028"),
        (b"a\x00b\n", r"line 1: 'a\\x00b' has the control character U\+0000"),
        (b"a\n\xef\xbb\xbfb\n", r"line 2: '\\ufeffb' has the control character U\+FEFF"),
    ],
)
def test_other_lists_are_named_with_file_and_line(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_list(path)


def test_a_list_may_end_with_empty_lines_and_have_spaces_around_lines(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text(" a \nb\t\nن\u200cن\n\n \n", "utf-8")  # a zero-width non-joiner is a letter's
    assert read_list(path) == ("a", "b", "ن\u200cن")


@pytest.mark.parametrize("data", [b'{"a": "\xe9"}', b"{", b"[" * 100_000], ids=["é", "{", "deep"])
def test_json_that_cannot_be_read_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\n" + data)
    with pytest.raises(ValueError, match=r"a\.json(, line 2: the byte 0xe9|: not valid JSON)"):
        read_json(path)


def _spoil(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda path: load_suite(_spoil(path, b"suite: caf\xe9\n")), "line 1: the byte 0xe9"),
        (lambda path: load_suite(_spoil(path, b"suite: 2024-02-31\n")), "is not valid YAML: day"),
        (lambda path: read_published(Against(file=_spoil(path, b"a\n\xff\n"))), "line 2: the byte"),
        (
            lambda path: read_published(Against(file=_spoil(path, b"a" * 200_000))),
            r"is not a valid CSV file \(field larger",
        ),
    ],
)
def test_suites_and_tables_of_other_encodings(
    tmp_path: Path, read: Callable[[Path], Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path / "file")


def test_a_caption_of_another_encoding_is_not_changed_in_silence(tmp_path: Path) -> None:
    root = tmp_path / "set"
    caption = ("a.txt", "one\na café\n".encode("latin-1"))
    shard(root / "test" / "0.tar", *PAIR[:1], caption)
    (root / "test/nshards.txt").write_text("1")
    (root / "dataset_type.txt").write_text("retrieval")
    spec = WebDataset(kind="webdataset", name="x", path=str(root), task="retrieval")
    with pytest.raises(CellError, match=r"0\.tar: a\.txt, line 2: the byte 0xe9 is not UTF-8"):
        index_dataset(spec, 1, 0)


def _named_in(root: Path, form: int, encoding: str) -> WebDataset:
    """Write a dataset with an image `café`, in a format of tar and an encoding of its names."""
    (root / "test").mkdir()
    with tarfile.open(root / "test" / "0.tar", "w", format=form, encoding=encoding) as archive:
        for name, data in (("café.png", b"A"), ("café.cls", b"0")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (root / "test/nshards.txt").write_text("1")
    (root / "classnames.txt").write_text("a")
    (root / "zeroshot_classification_templates.txt").write_text("{c}")
    return WebDataset(kind="webdataset", name="x", path=str(root))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_names_of_members_in_utf8_are_read_in_every_format(tmp_path: Path, form: int) -> None:
    assert index_dataset(_named_in(tmp_path, form, "utf-8"), 9, 0).sample_ids == ("café",)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_names_of_members_in_latin1_are_refused_legibly(tmp_path: Path, form: int) -> None:
    with pytest.raises(CellError, match=r"the name 'caf\\udce9' of an image has a lone surrogate"):
        index_dataset(_named_in(tmp_path, form, "latin-1"), 9, 0)


def test_decoding_keeps_what_utf8_has() -> None:
    assert decode_text("a\u2028b\r\r\nc".encode(), "x") == "a\u2028b\n\nc"
