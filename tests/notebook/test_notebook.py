"""The notebook of the documentation gives the outputs that it shows."""

import pytest

from tests.notebook.executed import DOCS, comparable, execute, read


def test_the_notebook_gives_its_outputs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(DOCS)
    written, again = read(), read()
    execute(again)
    assert comparable(again) == comparable(written)
    assert len(comparable(again)) == 4
