"""A metric takes two files: its name and properties, and what it makes of a model's outputs."""

from pathlib import Path

import pytest

from tests.additions.by_hand import clean_ranks
from tests.support.additions import Copy

SUITE = """
suite: added
protocol: {preset: radapt-paper, pixels: native, templates: dataset}
samples: 4
models: {FARE: {kind: nano, weights: fare}, CLIP: {kind: nano, weights: clip}}
datasets: [cifar10]
attacks: [{kind: pgd, eps: 8/255, steps: 2}]
threats: [white-box, {transfer: CLIP}]
"""


def test_a_metric_is_added_in_two_files(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.insert(
        "bench/suite/metrics.py",
        "    Metric(ACCURACY, CLASSIFICATION, early_stop=True, top_logit=True),\n",
        '    Metric("top_3_accuracy", CLASSIFICATION, "top-3"),\n',
    )
    copy.insert(
        "bench/tasks/classification.py",
        "    return logits.argmax(dim=1) == labels\n",
        "\n\ndef top_3(logits: Tensor, labels: Tensor) -> Tensor:\n"
        '    """Return per image whether its class is among the three highest logits, `[n]`."""\n'
        "    return (logits.topk(3, dim=1).indices == labels[:, None]).any(dim=1)\n",
    )
    copy.insert(
        "bench/tasks/classification.py",
        "    ACCURACY: top_1,\n",
        '    "top_3_accuracy": top_3,\n',
    )
    assert len(copy.touched) <= 2
    rows = copy.run(SUITE)
    assert {row["status"] for row in rows} == {"ok"}
    found = {(row["model"], row["metric"], row["threat"]): row for row in rows}
    assert len(found) == len(rows) == 12
    ranks = clean_ranks(4)
    for name, depth in (("accuracy", 1), ("top_3_accuracy", 3)):
        by_hand = sum(rank <= depth for rank in ranks) / 4
        assert float(found["FARE", name, ""]["value"]) == pytest.approx(by_hand)
    # a white-box attack may not stop where the class loses the highest logit: it may come second
    white, top_3 = (found["FARE", name, "white-box"] for name in ("accuracy", "top_3_accuracy"))
    assert white["craft_id"] != top_3["craft_id"]
    # images of another model are made once for both
    one, other = (found["FARE", name, "transfer"] for name in ("accuracy", "top_3_accuracy"))
    assert one["craft_id"] == other["craft_id"]
    board = (tmp_path / "results" / "added" / "leaderboard.csv").read_text("utf-8")
    assert "clean top-3" in board and "pgd@8/255 top-3" in board
