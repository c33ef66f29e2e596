from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.commands.main import main
from bench.commands.plan import plan_lines
from bench.core.resolved_names import Lock
from bench.plan.cells import expand
from bench.plan.resolve import resolve
from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite
from tests.support.hub_server import Hub

Write = Callable[..., Path]


def test_plan_lists_every_cell_as_it_will_run(
    small: Suite, suite_file: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, _ = resolve(small)
    cells = expand(small, lock)
    Store(tmp_path, small.suite).put_lock(lock)
    call = ["plan", str(suite_file()), "--results", str(tmp_path)]
    assert main([*call, "--cells"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("suite small: ")  # the summary first
    assert main(call) == 0
    assert cells[0].id not in capsys.readouterr().out
    for cell in cells:
        line = next(line for line in text.splitlines() if line.startswith(cell.id))
        assert line.split()[1:3] == [cell.target, cell.dataset]
        if cell.attack and cell.threat:
            steps = "3" if cell.attack.kind == "pgd" else "5"
            attack = [cell.attack.kind, cell.eps, cell.threat.kind, cell.threat.source or "-"]
            assert line.split()[3:] == [*attack, steps, str(cell.seed)]
    assert "21 cells, 21 different" in text
    assert "preliminary" not in text
    assert "preliminary" in "\n".join(plan_lines(small, Lock()))


@pytest.mark.parametrize(
    ("attack", "steps"),
    [
        ({"kind": "torchattacks", "args": {"steps": 7}}, 7),
        ({"kind": "torchattacks"}, 10),
        ({"kind": "pyautoattack", "steps": 5, "restarts": 3}, 15),
    ],
)
def test_plan_counts_steps(suite_file: Write, attack: dict[str, Any], steps: int) -> None:
    path = suite_file(attacks=[{**attack, "eps": "1/255"}], threats=["white-box"])
    text = "\n".join(plan_lines(load_suite(path), Lock()))
    assert f"attacking {3 * 16 * steps} images x steps at most" in text


def test_plan_counts_the_steps_in_the_models_own_precision(suite_file: Write) -> None:
    low = {"kind": "pgd", "eps": "1/255", "steps": 3, "precision": "bf16"}
    for confirm, each in ((True, 6), (False, 3)):
        path = suite_file(attacks=[{**low, "confirm": confirm}], threats=["white-box"])
        text = "\n".join(plan_lines(load_suite(path), Lock()))
        assert f"attacking {3 * 16 * each} images x steps at most" in text


def test_of_several_texts_one_is_attacked_again(suite_file: Write) -> None:
    """RobustVLM's attack on VQA: five references, the best once more, and two targets."""
    path = suite_file(
        protocol={"preset": "lvlm"}, threats=["white-box"],
        attacks=[{"preset": "robustvlm-vqa", "eps": "2/255"}],
        models={
            "A": {"kind": "python", "target": "tests.support.small_speaker:Speaker",
                  "answers": True}
        },
        datasets=[{"kind": "language", "format": "embedded", "of": "cifar10", "ask": "what",
                   "name": "what"}],
    )  # fmt: skip
    text = "\n".join(plan_lines(load_suite(path), Lock()))
    assert f"attacking {16 * (5 + 1 + 2) * 100:,} images x steps at most" in text


def test_plan_reads_the_size_of_images(
    suite_file: Write, dataset: Callable[..., Path], tmp_path: Path
) -> None:
    def disk(**changes: Any) -> str:
        lines = plan_lines(load_suite(suite_file(samples=1000, **changes)), Lock())
        return next(line for line in lines if line.startswith("  disk"))

    entry = {"kind": "webdataset", "name": "set", "path": str(dataset(size=100))}
    megabytes = 3 * 1000 * 3 * 100 * 100 * 2 / 1e6  # three shared crafts
    assert disk(datasets=[entry]).endswith(f"{megabytes:.0f} MB of crafts at most")
    gone = {**entry, "name": "gone", "path": str(tmp_path / "gone")}
    assert disk(datasets=[entry, gone]).endswith("not included: gone (image size not known)")
    sized = {"preset": "radapt-paper", "pixels": {"size": 50, "fit": "squash"}}
    both = 2 * megabytes / 4
    assert disk(datasets=[entry, gone], protocol=sized).endswith(f"{both:.0f} MB of crafts at most")


def test_plan_says_what_is_to_be_downloaded(
    hub: Hub, suite_file: Write, dataset: Write, small: Suite
) -> None:
    sets = ["wds/imagenet1k", "wds/vtab/dtd", {"kind": "hub", "name": "set", "repo": "me/wds_set"}]
    suite = load_suite(suite_file(datasets=sets))
    text = "\n".join(plan_lines(suite, Lock()))
    assert "download  3 datasets, about 6.9 GB, and 2 of unknown size" in text
    assert hub.log == []
    assert "download  no data" in "\n".join(plan_lines(small, Lock()))
    hub.add("me/wds_set", dataset())
    resolve(suite)
    assert "download  2 datasets, about 6.9 GB, and 1" in "\n".join(plan_lines(suite, Lock()))
