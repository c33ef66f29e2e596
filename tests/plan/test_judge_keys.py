"""What a stranger's suite cannot do: send a variable of the environment to an address."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import run_bench
from bench.commands.machine import examine
from bench.core.errors import CellError
from bench.run.events import read_events
from bench.suite.load import load_suite
from bench.tasks.answer_judges import build_judge
from tests.support.question_files import WORDS
from tests.tasks.test_judges import BEAR, DIGITS, Endpoint, endpoint, spec

SECRET = "AKIA-not-for-judges"
Write = Callable[..., Path]


def asking(suite_file: Write, url: str, key: str | None, ask: str = "what") -> Path:
    judge = {"kind": "openai", "url": url, "model": "judge-1", **({"key": key} if key else {})}
    protocol = {"preset": "lvlm", "pixels": "native", "answer_tokens": 1, "judge": judge}
    datasets = [{**DIGITS, "ask": ask}]
    return suite_file(**WORDS, samples=2, datasets=datasets, protocol=protocol)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("CLOUD_SECRET", SECRET)
    monkeypatch.setenv("JUDGE_KEY", "for-judges")
    monkeypatch.delenv("BENCH_JUDGE_KEYS", raising=False)
    with endpoint() as found:
        found.said = {"": "2"}
        yield found


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run_bench.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert "for-judges" not in out + err
    return code, out, err


def test_a_variable_that_is_not_for_judges_is_refused_before_anything_is_computed(
    room: Endpoint, suite_file: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, results = asking(suite_file, room.url, "CLOUD_SECRET"), tmp_path / "r"
    code, _, err = called(capsys, "run", suite, "--results", results, "--device", "cpu")
    assert code == 2
    assert err == (
        "protocol.judge.key: got 'CLOUD_SECRET', an environment variable whose value would be sent "
        f"to {room.url}; allowed: JUDGE_KEY; to allow it, run "
        "`export BENCH_JUDGE_KEYS=CLOUD_SECRET`, or run with --trust\n"
    )
    assert not results.exists()
    code, out, _ = called(capsys, "plan", suite, "--results", results)
    assert code == 0
    fault, _, advice = err.strip().partition("; to allow it")
    assert f"  {fault}\n" in out
    assert f"  -> to allow it{advice}\n" in out
    assert f"judge-1 at {room.url}, with the key in CLOUD_SECRET" in out
    found = {each.what: each for each in examine(load_suite(suite), results)}
    (fault,) = (what for what in found if "got 'CLOUD_SECRET'" in what)
    assert (found[fault].level, "BENCH_JUDGE_KEYS" in found[fault].advice) == ("bad", True)
    assert not room.log


@pytest.mark.parametrize(
    ("listed", "key", "trust"),
    [
        (None, "JUDGE_KEY", False),
        ("OTHER, CLOUD_SECRET", "CLOUD_SECRET", False),
        ("", "CLOUD_SECRET", True),
    ],
)
def test_a_listed_key_is_sent_once_the_address_was_shown(
    room: Endpoint,
    suite_file: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    listed: str | None,
    key: str,
    trust: bool,
) -> None:
    if listed is not None:
        monkeypatch.setenv("BENCH_JUDGE_KEYS", listed)
    suite, results = asking(suite_file, room.url, key), tmp_path / "r"
    more = ["--trust"] if trust else []
    code, _, err = called(capsys, "run", suite, "--results", results, "--device", "cpu", *more)
    assert code == 0, err
    value = SECRET if key == "CLOUD_SECRET" else "for-judges"
    assert {authorisation for _, authorisation, _ in room.log} == {f"Bearer {value}"}
    line = f"answers are sent to the judge judge-1 at {room.url}, with the key in {key}"
    assert line in err.splitlines()
    (log,) = results.glob("*/runs/*/events.jsonl")
    kinds = [event["event"] for event in read_events(log)]
    assert kinds.index("judging") < kinds.index("starting")
    assert SECRET not in json.dumps(list(read_events(log)))


@pytest.mark.parametrize("listed", ["", "JUDGE_KEYS", "judge_key", "JUDGE_KEY;CLOUD_SECRET"])
def test_only_what_is_listed_to_the_letter_is_for_judges(
    room: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    monkeypatch.setenv("BENCH_JUDGE_KEYS", listed)
    for key in ("JUDGE_KEY", "CLOUD_SECRET"):  # whoever asks, and however it came there
        with pytest.raises(CellError, match=rf"protocol.judge.key: got '{key}'"):
            build_judge(spec(room, key=key), tmp_path)(["A bear."], [BEAR])
    assert not room.log


def test_a_suite_without_a_question_for_its_judge_sends_nothing(
    room: Endpoint, suite_file: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = asking(suite_file, room.url, "CLOUD_SECRET", "whether")
    code, out, err = called(capsys, "plan", suite)
    assert code == 0, err
    assert "CLOUD_SECRET" not in out


def test_no_key_follows_a_redirect(room: Endpoint, tmp_path: Path) -> None:
    with endpoint() as other:
        room.failures, room.elsewhere = [307, 302], f"{other.url}/chat/completions"
        for _ in range(2):
            with pytest.raises(CellError, match="cannot be asked: 30"):
                build_judge(spec(room, key="JUDGE_KEY"), tmp_path)(["A bear."], [BEAR])
        assert not other.log
