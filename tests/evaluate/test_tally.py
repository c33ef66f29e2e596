"""What parts of a cell's images come to, put together."""

import numpy as np
import pytest

from bench.evaluate.tally import concatenate, new_tally


def test_parts_are_joined_with_their_scores_and_texts() -> None:
    first, second = new_tally(("a", "b")), new_tally(("c",))
    first.scores, first.texts = np.array([0.3, 1], np.float32), ["red", "two"]
    second.scores, second.texts = np.array([0], np.float32), [""]
    whole = concatenate([first, second])
    assert whole.sample_ids == ("a", "b", "c")
    assert whole.scores == pytest.approx([0.3, 1, 0])
    assert whole.texts == ["red", "two", ""]
    assert whole.reached is None
    first.reached, second.reached = np.array([True, False]), np.array([True])
    reached = concatenate([first, second]).reached
    assert reached is not None and reached.tolist() == [True, False, True]


def test_what_is_right_or_wrong_has_neither() -> None:
    whole = concatenate([new_tally(("a", "b")), new_tally(("c",))])
    assert whole.correct.all()
    assert whole.scores is None
    assert whole.texts == []
