"""The trust battery on defences that are known to be broken, and on honest models."""

import re
from dataclasses import replace

import pytest

from bench.trust.battery import CHECKS, examine
from bench.trust.conclusions import explain
from tests.trust.gallery import DOCS, GALLERY, LIGHT, subject

PLAIN = {name: piece for name, piece in GALLERY.items() if piece.parts is None}
BROKEN = [name for name, piece in PLAIN.items() if piece.causes]
HONEST = [name for name, piece in PLAIN.items() if not piece.causes]
SAME_KIND = ("TeCoA", "TGA")  # towers that training made robust, as FARE is; the docs have them


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_defence_is_caught_by_the_checks_that_name_its_fault(name: str) -> None:
    named = {cause: CHECKS[cause] for cause in GALLERY[name].causes}
    found = list(examine(subject(name), LIGHT, named))
    for one in found:
        print(f"| {name} | {GALLERY[name].what} | {one.check} | {one.verdict} | {one.evidence} |")
    caught = {one.check: one.verdict for one in found}
    assert caught.pop("chance", "warn") == "warn"  # which it is at most
    assert set(caught.values()) <= {"fail"}


@pytest.mark.parametrize("name", [name for name in HONEST if name not in SAME_KIND])
def test_an_honest_model_fails_no_check(name: str) -> None:
    found = list(examine(subject(name), replace(LIGHT, images=12)))
    for one in found:
        print(f"| {name} | {one.check} | {one.verdict} | {one.evidence} |")
    assert not [one for one in found if one.verdict == "fail"]
    assert "chance" not in [one.check for one in found if one.verdict == "warn"]


@pytest.mark.parametrize("name", ["median", "CLIPure-Cos"])  # the others take too long
def test_a_published_defence_that_falls_is_named_by_its_cause(name: str) -> None:
    wanted = (*GALLERY[name].causes, "stochastic", "no-effect")
    found = explain(list(examine(subject(name), LIGHT, {each: CHECKS[each] for each in wanted})))
    named = {one.check for one in found if one.verdict in ("warn", "fail")}
    assert named == set(GALLERY[name].causes)


def test_the_docs_show_every_piece_and_what_names_its_fault() -> None:
    rows = re.findall(
        r"^\| (.+) \| (.+) \| \d+% \| (.+) \| (.+) \| (.+) \|$", DOCS.read_text("utf-8"), re.M
    )
    assert [(name, what) for name, what, *_ in rows] == [(n, p.what) for n, p in GALLERY.items()]
    for name, _, failed, warned, remarked in rows:
        named = set(re.findall(r"\*\*(.+?)\*\*", f"{failed}, {warned}, {remarked}"))
        assert named == set(GALLERY[name].causes)
        assert GALLERY[name].causes or failed == "–"
