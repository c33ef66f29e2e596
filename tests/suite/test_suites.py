"""The shipped suites: what they plan, and that their numbers can be compared with the papers'."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from bench import catalogue
from bench.commands.plan import plan_lines
from bench.compare.protocol_mismatch import unstated
from bench.compare.published import read_published
from bench.compare.verdicts import Comparison, compare
from bench.core.errors import CellSkip
from bench.core.resolved_names import Lock
from bench.core.types import CellResult, unmeasured
from bench.plan.attack_limits import fit
from bench.plan.cells import Cell, expand
from bench.results.tables import Scored
from bench.suite.load import Suite, load_suite
from tests.commands.test_cli import ENVIRONMENT, ROOT, call

SUITES = ROOT / "suites"
REAL = (
    *("zero_shot", "white_box", "white_box_table3", "table3", "table6", "fare", "retrieval"),
    *("adaptive", "lvlm_llava", "lvlm_qwen", "lvlm_vqa", "lvlm_captions"),
)


def of(name: str) -> Suite:
    return load_suite(SUITES / f"{name}.yaml")


def plan(name: str, gpu: str = "h100") -> str:
    return "\n".join(plan_lines(of(name), Lock(), gpu))


def half_right(suite: Suite) -> list[Scored]:
    """Return a suite's cells as if each had been run, with every second image right."""
    return [Scored(cell, half_right_of(cell)) for cell in expand(suite, Lock())]


def half_right_of(cell: Cell) -> CellResult:
    try:
        if cell.attack:
            fit(cell.attack, catalogue.datasets()[cell.dataset].classes, cell.mode)
    except CellSkip as skip:
        return unmeasured(cell.id, "skip", str(skip), 0.0, {})
    correct = np.arange(100) % 2 == 0
    ids = tuple(map(str, range(100)))
    return CellResult(cell.id, "ok", correct, ids, np.zeros(100, np.float32), 1.0, 100, {})


def compared(name: str) -> Sequence[Comparison]:
    suite = of(name)
    assert suite.against is not None
    found, absent = compare(suite, half_right(suite), read_published(suite.against))
    assert absent == 0, "a published number has no counterpart in the suite"
    return found


CLEAN = {"clean": "pixels: 224 crop published, 224 squash"}  # in R-Adapt's tables


def reasons(found: Sequence[Comparison]) -> dict[str, str]:
    """Return why numbers cannot be compared, by attack; each attack has one reason."""
    why = {(item.published.attack, item.why) for item in found if item.why}
    assert len(why) == len(dict(why))
    return dict(why)


def test_the_attacks_of_table_2_are_those_of_the_authors() -> None:
    found = compared("zero_shot")
    assert len(found) == 90
    assert reasons(found) == CLEAN
    assert {(item.published.attack, item.attack) for item in found} == {
        ("clean", "clean"),
        ("pgd", "PGD-10"),
        ("cw", "C&W-30"),
        ("apgd-ce", "APGD-30"),
    }


def test_of_table_3_only_square_can_be_compared() -> None:
    found = compared("table3")
    assert len(found) == 21
    why = reasons(found)
    assert why.pop("fab").startswith("attack: fab hands back the smallest perturbation")
    assert why.pop("apgd-dlr").startswith("pcam: apgd-dlr needs at least 3 classes")
    assert why == CLEAN


def test_of_fare_s_table_all_but_suspect_numbers_can_be_compared() -> None:
    found = compared("fare")
    assert len(found) == 225
    suspect = [item for item in found if item.why]
    assert {(item.published.model, item.published.dataset) for item in suspect} == {
        ("CLIP", "cifar100"),
        ("CLIP", "mean"),
    }
    assert all(item.why.startswith("printed value is suspect: ") for item in suspect)
    assert {item.attack for item in suspect} == {"clean"}
    assert {unstated(item.published) for item in found} == {()}


def test_table_6_stands_beside_all_attacks_since_its_own_is_not_named() -> None:
    found = compared("table6")
    assert len(found) == 16 + 3 * 16
    assert {item.threat for item in found} == {"", "transfer from CLIP"}
    assert reasons(found) == {**CLEAN, "unnamed": "attack: the paper does not name it"}


def test_white_box_numbers_are_never_held_against_transferred_ones() -> None:
    found = compared("white_box")
    attacked = [item for item in found if item.published.attack != "clean"]
    assert len(attacked) == 81
    for item in attacked:
        assert item.verdict == "cannot be compared"
        assert "threat model: transfer from CLIP published, white-box" in item.why
        official = "attack: APGD-30 published, apgd-ce" in item.why
        assert official == (item.attack == "apgd-ce")


def test_the_attacks_of_table_3_are_there_directly_too() -> None:
    found = [item for item in compared("white_box_table3") if item.published.attack != "clean"]
    assert {item.attack for item in found} == {"apgd-dlr", "fab", "square"}
    assert {item.threat for item in found} == {"white-box"}
    for item in found:
        assert item.verdict == "cannot be compared"
        assert "threat model: transfer from CLIP published, white-box" in item.why
    assert plan("white_box_table3").count("skipped") == 1  # APGD-DLR on PCAM; FAB runs


def test_retrieval_shows_recalls_beside_an_attack_that_is_not_named() -> None:
    found = compared("retrieval")
    clean = [item for item in found if item.published.attack == "clean"]
    assert len(clean) == 6
    assert {item.why for item in clean} == {CLEAN["clean"]}
    assert all("attack" in item.why for item in found if item not in clean)


OF_DEFENCES = {  # verdicts and numbers without a counterpart in the suite
    # HD is not offered
    "ttc": ({"measured": 51, "cannot be compared": 6}, 2),
    # models that the authors do not publish
    "tga": ({"measured": 6}, 12),
    # a gradient that is cut, which is not offered
    "clipure": ({"cannot be compared": 1}, 0),
    # UCF101, ImageNet-A and ImageNetV2 are not in the catalogue
    "r_tpt": ({"measured": 36, "cannot be compared": 12}, 12),
    # the text encoder alone
    "leaf": ({"measured": 9}, 2),
}


@pytest.mark.parametrize("name", OF_DEFENCES)
def test_tables_of_defences_get_verdicts(name: str) -> None:
    suite = of(name)
    assert suite.against is not None
    found, absent = compare(suite, half_right(suite), read_published(suite.against))
    counts = Counter("cannot be compared" if item.why else "measured" for item in found)
    assert (counts, absent) == OF_DEFENCES[name]
    missing = ("datasets: the suite lacks", "the settings of", "its clean accuracy in Table 2")
    for item in found:
        if item.why and not item.why.startswith(missing):
            assert item.published.incomparable == item.why, "a protocol differs from the paper's"


def test_adaptive_attacks_are_the_same_on_real_and_embedded_models() -> None:
    real, nano = of("adaptive"), of("adaptive_nano")
    assert real.models.keys() == nano.models.keys() == of("zero_shot").models.keys()
    steps = {"steps": real.attacks[0].gradients}
    assert real.attacks == tuple(attack.model_copy(update=steps) for attack in nano.attacks)
    assert real.threats == nano.threats


def test_parts_that_a_model_does_not_have_are_not_taken_out_of_it() -> None:
    text = plan("adaptive")
    skips = 4 * 2 * 3  # datasets, budgets, attacks with `without`
    counted = sum(map(int, re.findall(r"skipped +(\d+) cells: .* removes the", text)))
    assert counted == skips * (4 + 2 * 9)  # four models directly, and all from CLIP and from two


def test_one_craft_serves_the_whole_table() -> None:
    """Attacking each of the nine models by itself costs nine times as much: over seven."""
    text = plan("zero_shot")
    assert "crafts    144; 1296 cells share 144 of them" in text
    steps = 16 * 1000 * 3 * (10 + 30 + 30)
    assert f"attacking {steps:,} images x steps at most" in text
    assert f"would be {9 * steps:,} images x steps, 9.0 times as many" in text


def test_what_will_be_skipped_is_not_counted() -> None:
    """APGD-DLR on PCAM's two classes, at two budgets and for three models."""
    text = plan("table3")
    assert "skipped   6 cells: apgd-dlr needs at least 3 classes; this dataset has 2" in text
    crafts = 16 * 4 - 2
    assert f"crafts    {crafts}; {3 * crafts} cells share {crafts} of them" in text
    assert f"attacking {15 * 1000 * 2 * 100:,} images x steps at most" in text


def test_the_time_of_a_named_gpu() -> None:
    hours = {
        gpu: float(re.findall(rf"time +([\d,.]+) hours of one {gpu}", plan("zero_shot", gpu))[0])
        for gpu in ("h100", "a100")
    }
    # ViT-L/14 has 162 GFLOP per image; a gradient costs two passes; 9 x 160 cells are scored
    passes = 2 * 16_000 * 3 * 70 + 9 * 160 * 1000
    assert hours["h100"] == pytest.approx(passes * 162e9 / (67e12 * 0.4) / 3600, rel=0.02)
    assert hours["a100"] == pytest.approx(hours["h100"] * 67 / 19.5, rel=0.01)
    done = call("plan", SUITES / "zero_shot.yaml", "--gpu", "abacus")
    assert done.returncode == 2
    assert "--gpu: got 'abacus'; allowed: h100" in done.stderr


def test_what_words_cannot_be_attacked_with_is_skipped_with_a_reason() -> None:
    text = plan("lvlm_llava")
    # six models that answer, two datasets; attacks of text at two budgets each
    assert "skipped   12 cells: value-features needs a CLIP" in text
    assert "skipped   24 cells: apgd-text needs a model that answers in words; CLIP" in text
    assert not any(cell.target.startswith("CLIP") for cell in expand(of("lvlm_llava"), Lock()))


def test_a_text_that_is_attacked_twice_is_counted_twice() -> None:
    lines = {
        name: re.findall(r"time +([\d,.]+) hours", plan(name))[0].replace(",", "")
        for name in ("lvlm_vqa", "lvlm_captions")
    }
    # in single precision the best of five references, and of questions two targets besides
    fp32 = {"lvlm_vqa": 3, "lvlm_captions": 1}
    ratio = float(lines["lvlm_vqa"]) / float(lines["lvlm_captions"])
    peak = 989 / 67
    expected = (fp32["lvlm_vqa"] + 5 / peak) / (fp32["lvlm_captions"] + 5 / peak)
    assert ratio == pytest.approx(expected, rel=0.02)


def test_weights_to_be_had() -> None:
    line = next(line for line in plan("zero_shot").splitlines() if "  weights " in line)
    assert "FARE 1.71 GB, TeCoA 1.71 GB" in line
    assert "TGA" not in line  # a tower over CLIP's own weights


# counts calls of functions, which are as many on a busy machine as on an idle one
_PLAN = """
import sys
import run_bench
calls = 0
def count(frame, event, _):
    global calls
    calls += event == "call" and frame.f_globals.get("__name__", "").startswith("bench.")
for suite in sys.argv[1:]:
    calls = 0
    sys.setprofile(count)
    assert run_bench.main(["plan", suite]) == 0, suite
    sys.setprofile(None)
    print(calls, file=sys.stderr)
assert "torch" not in sys.modules
"""


def test_planning_needs_neither_network_nor_torch_nor_much_work() -> None:
    """The longest, `white_box`, takes 204,000 calls."""
    done = subprocess.run(
        [sys.executable, "-c", _PLAN, *(SUITES / f"{name}.yaml" for name in REAL)],
        cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("hours of one h100 at most") == len(REAL)
    calls = dict(zip(REAL, map(int, done.stderr.split()), strict=True))
    assert max(calls.values()) < 400_000, calls
