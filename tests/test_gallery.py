"""The trust battery on defences that are known to be broken, and on honest models."""

import pytest

from tests.gallery import DOCS, GALLERY, examined, row


@pytest.mark.parametrize("name", [name for name, piece in GALLERY.items() if piece.causes])
def test_a_broken_defence_is_found_out_by_the_check_that_names_its_fault(name: str) -> None:
    print(row(name))
    _, findings = examined(name)
    failed = {found.check: found.evidence for found in findings if found.verdict == "fail"}
    assert set(GALLERY[name].causes) & set(failed), failed


@pytest.mark.parametrize("name", [name for name, piece in GALLERY.items() if not piece.causes])
def test_an_honest_model_fails_no_check(name: str) -> None:
    print(row(name))
    _, findings = examined(name)
    assert not [found for found in findings if found.verdict == "fail"]


def test_the_docs_show_every_piece() -> None:
    text = DOCS.read_text("utf-8")
    for name, piece in GALLERY.items():
        assert f"| {name} | {piece.what} |" in text
