"""Runs that are logged to experiment trackers, and trackers that fail or hang."""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import run_bench
from bench.core.errors import UserError
from bench.report.export import export
from bench.run.jobs import Job
from bench.run.trackers.tracker import Tracker
from bench.run.trackers.tracking import TRACKERS, Feed, Tracking, track
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from tests.results.test_tables import (
    SUITE,
    store,  # noqa: F401
)


class FakeRun:
    """A run of both libraries, whose calls have the parameters of the true ones."""

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []
        self.artifacts: list[tuple[str, str, bytes]] = []
        self.finished = 0

    def log(self, metrics: dict[str, Any], step: int | None = None) -> None:
        json.dumps(metrics)  # neither library takes values of NumPy or pandas everywhere
        self.logged.append(metrics)

    def log_artifact(self, item: Any, name: str | None = None, type: str | None = None) -> None:
        name, type, path = (name, type, item) if name else (item.name, item.type, item.path)
        self.artifacts.append((str(name), str(type), Path(path).read_bytes()))

    def finish(self) -> None:
        self.finished += 1


def fake_trackio(run: FakeRun) -> ModuleType:
    """Trackio 0.43, as far as it is used."""

    def init(project: str, name: str, config: dict[str, Any], embed: bool) -> FakeRun:
        assert (project, name, embed) == ("radapt-bench", "made-up", False)
        assert config["threats"] == ["white-box", "transfer from A"]
        return run

    module = ModuleType("trackio")
    module.init = init  # type: ignore[attr-defined]
    return module


def fake_wandb(run: FakeRun, mode: str = "offline") -> ModuleType:
    """Weights & Biases 0.31, as far as it is used; nobody is logged in."""

    class Artifact:
        def __init__(self, name: str, type: str) -> None:
            self.name, self.type, self.path = name, type, ""

        def add_file(self, local_path: str) -> None:
            self.path = local_path

    def init(project: str, name: str, config: dict[str, Any], settings: str) -> FakeRun:
        assert (project, name, settings) == ("radapt-bench", "made-up", "console off")
        assert config["attacks"] == ["pgd@1/255", "pgd@2/255", "cw@2/255"]
        return run

    def line_series(xs: Any, ys: Any, keys: Any, title: str, xname: str) -> dict[str, Any]:
        return {"xs": xs, "ys": ys, "keys": keys, "title": title, "xname": xname}

    module = ModuleType("wandb")
    for name, value in {
        "setup": lambda: SimpleNamespace(settings=SimpleNamespace(mode=mode)),
        "login": lambda prompt: False,
        "init": init,
        "Artifact": Artifact,
        "plot": SimpleNamespace(line_series=line_series),
        "Settings": lambda console: f"console {console}",
    }.items():
        setattr(module, name, value)
    return module


def follow(store: Store, *names: str) -> None:  # noqa: F811
    """Give trackers a made-up run: all its cells, one of them in parts, and its page."""
    results = read_results(SUITE, store)
    board = export(results)
    cells = list(results.cells)
    watcher = track(names, SUITE, store.folder)
    watcher.begin(cells, [Job(cell.id, cell) for cell in cells], 1)
    for cell in cells:
        result = results.by_id[cell.id].whole()
        assert result is not None
        watcher.finished("0", Job(f"{cell.id}.0", cell, 0), result, None)  # a part has no row
        watcher.finished("0", Job(cell.id, cell), result, None)
    watcher.ended("done")
    watcher.publish(board, store.folder / "leaderboard.html")


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeRun]:
    """Return a function that installs a fake library and returns its run."""
    monkeypatch.delenv("WANDB_PROJECT", raising=False)

    def install(make: Callable[..., ModuleType], *arguments: str) -> FakeRun:
        run = FakeRun()
        module = make(run, *arguments)
        module.__spec__ = ModuleSpec(module.__name__, None)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return run

    return install


def test_rows_curves_and_page_reach_each_tracker(
    store: Store,  # noqa: F811
    pretend: Callable[..., FakeRun],
    capsys: pytest.CaptureFixture[str],
) -> None:
    trackio, wandb = pretend(fake_trackio), pretend(fake_wandb)
    follow(store, "trackio", "wandb", "wandb")
    assert capsys.readouterr().err == ""
    rows = [step for step in wandb.logged if "cell/model" in step]
    assert len(rows) == 2 * 2 * (1 + 2 * 3)  # models, datasets; clean and two threats
    assert rows == trackio.logged[: len(rows)]
    first = next(row for row in rows if row["cell/attack"] == "pgd")
    assert {"cell/threat": "white-box", "cell/eps": "1/255", "cell/value": 0.25}.items() <= (
        first.items()
    )
    assert "cell/reason" not in first  # it is empty

    charts = {k: v for step in wandb.logged for k, v in step.items() if k.startswith("curves/")}
    assert list(charts) == [
        *("curves/white-box, pgd", "curves/white-box, cw"),
        *("curves/transfer from A, pgd", "curves/transfer from A, cw"),
    ]
    chart = charts["curves/white-box, pgd"]
    line = chart["keys"].index("A")
    assert chart["xs"][line] == pytest.approx([0, 1 / 255, 2 / 255])
    assert chart["ys"][line] == pytest.approx([0.75, 0.25, 0.25])
    points = [s for s in trackio.logged[len(rows) :] if "white-box, pgd/A" in s]
    assert [step["eps"] for step in points] == pytest.approx([0, 1 / 255, 2 / 255])
    assert [step["white-box, pgd/A"] for step in points] == pytest.approx([0.75, 0.25, 0.25])

    page = (store.folder / "leaderboard.html").read_bytes()
    for run in (trackio, wandb):
        assert run.artifacts == [("leaderboard-made-up", "page", page)]
        assert run.finished == 1


def test_tensorboard(store: Store) -> None:  # noqa: F811
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    follow(store, "tensorboard")
    (folder,) = (store.folder / "tensorboard").iterdir()
    assert (folder / "leaderboard.html").exists()
    events = EventAccumulator(str(folder))
    events.Reload()
    curve = events.Scalars("white-box, pgd/A")
    assert [(point.step, point.value) for point in curve] == [(0, 0.75), (100, 0.25), (200, 0.25)]
    assert events.Scalars("cifar10, white-box, pgd, Linf, 1/255, accuracy/A")[0].value == 0.25


def test_a_tracker_that_asks_for_a_login_is_left_out(
    store: Store,  # noqa: F811
    pretend: Callable[..., FakeRun],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = pretend(fake_wandb, "online")
    follow(store, "wandb")
    said = capsys.readouterr().err
    assert said.startswith("--log-to wandb: not logged in; run `wandb login`")
    assert (said.count("\n"), run.logged, run.finished) == (1, [], 0)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_tracker_ends_the_command_before_the_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"{name} is not installed; .*radapt-bench\[{name}\]"):
        track([name], SUITE, tmp_path)


class Failing:
    """A tracker that ends the process at its first row."""

    def row(self, row: Mapping[str, Any]) -> None:
        raise SystemExit("no room at the server")


def test_a_tracker_that_fails_leaves_the_run_as_it_is(
    suite_file: Callable[..., Path],
    tmp_path: Path,
    pretend: Callable[..., FakeRun],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pretend(fake_trackio)
    monkeypatch.setitem(TRACKERS, "trackio", lambda suite, folder: Failing())  # type: ignore[arg-type,return-value]
    models = {"CLIP": {"kind": "nano", "weights": "clip"}}
    suite = suite_file(samples=4, models=models, attacks=None, threats=None)
    command = ["run", str(suite), "--results", str(tmp_path / "r"), "--log-to", "trackio"]
    assert run_bench.main(command) == 0
    assert (tmp_path / "r" / "small" / "leaderboard.html").exists()
    said = [line for line in capsys.readouterr().err.splitlines() if "--log-to" in line]
    assert said == [
        "--log-to trackio: no room at the server; nothing more is logged there, the run goes on"
    ]


class Hanging:
    """A tracker that answers when it is let go."""

    def __init__(self) -> None:
        self.busy, self.go_on = threading.Event(), threading.Event()
        self.rows = 0
        self.closed = False

    def hang(self) -> None:
        self.busy.set()
        self.go_on.wait()
        self.rows += 1

    def close(self) -> None:
        self.closed = True


def test_a_tracker_that_hangs_holds_nothing_up(capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Hanging()
    action: Callable[[Tracker], None] = lambda _: tracker.hang()  # noqa: E731
    feed = Feed("slow", lambda: tracker, most=2)  # type: ignore[arg-type,return-value]
    feed.start()
    feed.put(action)
    tracker.busy.wait()
    for _ in range(5):
        feed.put(action)
    feed.close(action, until=time.monotonic())
    assert capsys.readouterr().err.splitlines() == [
        "--log-to slow: too slow; 3 rows were not sent",
        "--log-to slow: still busy 30 s after the run; what it has not sent is lost",
    ]
    tracker.go_on.set()
    feed.thread.join()  # it does not wait for more
    assert (tracker.rows, tracker.closed) == (1, True)


def test_a_stopped_run_ends_its_trackers_without_a_page() -> None:
    tracker = Hanging()
    watcher = Tracking(SUITE, [Feed("any", lambda: tracker)])  # type: ignore[arg-type,return-value]
    watcher.begin([], [], 1)
    watcher.ended("stopped")
    watcher.feeds[0].thread.join()
    assert (tracker.rows, tracker.closed) == (0, True)
