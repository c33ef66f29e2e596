"""A task takes four files: its value, the datasets that may ask for it, and its behaviour."""

from pathlib import Path

import numpy as np
import pytest

from tests.additions.by_hand import clean_ranks
from tests.support.additions import Copy

RANKING = '''"""Ranking: how high does the class of an image stand among all classes?"""

from torch import Tensor

from bench.data.tensors import Images
from bench.tasks.classification import Classification


class Ranking(Classification):
    """How a model ranks classes; a `bench.tasks.embedding_tasks.EmbeddingTask`."""

    def values(self, outputs: Tensor, labels: Tensor, images: Images, metric: str) -> Tensor:
        """Return per image 1 over the rank of its class, `[n]`, the highest logit being first."""
        own = outputs.gather(1, labels[:, None])
        return 1 / (1 + (outputs > own).sum(dim=1))
'''
SUITE = """
suite: added
protocol: {preset: radapt-paper, pixels: native, templates: dataset}
samples: 4
models: {FARE: {kind: nano, weights: fare}}
datasets: [{kind: webdataset, name: cifar10, path: bench/nano/data/cifar10, task: ranking}]
attacks: [{kind: pgd, eps: 8/255, steps: 2}]
threats: [white-box]
"""


def test_a_task_is_added_in_four_files(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.write("bench/tasks/ranking.py", RANKING)
    copy.insert(
        "bench/tasks/embedding_tasks.py",
        "from bench.tasks.classification import Classification\n",
        "from bench.tasks.ranking import Ranking\n",
    )
    copy.insert(
        "bench/tasks/embedding_tasks.py",
        "    CLASSIFICATION.name: Classification(),\n",
        '    "ranking": Ranking(),\n',
    )
    copy.insert(
        "bench/suite/specs/datasets.py",
        'ArchiveTask = Literal["classification", "retrieval"',
        ', "ranking"',
    )
    copy.insert(
        "bench/suite/metrics.py",
        'CAPTIONING = Task("captioning", "captioning", "captions in words", "questions")\n',
        'RANKING = Task("ranking", "zero-shot ranking", "rank among classes", "classes")\n',
    )
    copy.insert("bench/suite/metrics.py", "(CLASSIFICATION, RETRIEVAL, ", "RANKING, ")
    copy.insert(
        "bench/suite/metrics.py",
        "    Metric(ACCURACY, CLASSIFICATION, early_stop=True, top_logit=True),\n",
        '    Metric("reciprocal_rank", RANKING, graded=True, title="reciprocal rank"),\n',
    )
    assert len(copy.touched) <= 5
    clean, attacked = copy.run(SUITE)
    assert (clean["status"], attacked["status"]) == ("ok", "ok")
    assert (clean["task"], clean["metric"]) == ("zero-shot ranking", "reciprocal_rank")
    ranks = clean_ranks(4)
    assert max(ranks) > 1, "on these images accuracy would be the same number"
    assert float(clean["value"]) == pytest.approx(np.mean(1 / np.array(ranks)), abs=1e-6)
    assert 0 < float(attacked["value"]) < float(clean["value"])
    page = (tmp_path / "results" / "added" / "leaderboard.html").read_text("utf-8")
    assert "reciprocal rank" in page
