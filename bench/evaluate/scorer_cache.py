"""A cache of the scorers of answers, and of the judge that some scorers ask."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.core.resolved_names import Lock
from bench.evaluate.image_cache import ImageCache
from bench.evaluate.loading import Loading
from bench.evaluate.unchanged import require_unchanged_judge
from bench.suite.load import Suite
from bench.suite.metrics import metric_of
from bench.suite.specs import TransformersJudge
from bench.tasks.answer_judges import Judge, build_judge, match
from bench.tasks.answer_scores import Scorer, build_scorer


@dataclass
class ScorerCache:
    """Builds scorers and the judge at their first use and keeps them.

    Attributes:
        suite: Defines the judge, and the rule of VQA accuracy.
        lock: Has the hash of a local judge's weights.
        device: Device of a local judge.
        trust: Whether the judge may have an API key that the user has not listed.
        replies: Folder of a judge's stored replies.
        images: The datasets with their questions.
        loading: Remembers errors, measures the time of loading, and has the time limit.
    """

    suite: Suite
    lock: Lock
    device: torch.device
    trust: bool
    replies: Path
    images: ImageCache
    loading: Loading
    _scorers: dict[tuple[str, str], Scorer] = field(default_factory=dict)
    _built: Judge | None = None

    def scorer(self, dataset: str, metric: str) -> Scorer:
        """Return the scorer of a dataset's answers for a metric."""
        if (dataset, metric) not in self._scorers:
            questions = self.images.images(dataset).questions
            judge = self._judge() if metric_of(metric).judged else match
            rule = self.suite.protocol.vqa_rule
            self._scorers[dataset, metric] = build_scorer(metric, questions, judge, rule)
        return self._scorers[dataset, metric]

    def _judge(self) -> Judge:
        """Return the judge that decides whether an answer names an object."""
        if self._built is None:
            with self.loading.timed():
                self._built = self.loading.once("protocol.judge", self._build_judge)
        return self._built

    def clear(self) -> None:
        """Drop all scorers and the judge, which they hold."""
        self._scorers.clear()
        self._built = None

    def _build_judge(self) -> Judge:
        judge, weights, check = self.suite.protocol.judge, self.lock.judge, self.loading.check
        built = build_judge(judge, self.replies, weights, self.device, self.trust, check)
        if isinstance(judge, TransformersJudge):
            require_unchanged_judge(judge, weights)
        return built
