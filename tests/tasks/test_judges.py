"""Judges: a local endpoint and a small text model are asked once, and their replies kept."""

import hashlib
import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers

from bench.core.errors import CellError, SuiteError, TimeUp
from bench.core.language_types import Question
from bench.core.resolved_names import Lock
from bench.core.torchvision_shim import ensure_torchvision
from bench.core.types import unmeasured
from bench.plan.cells import expand
from bench.plan.identity import still_valid
from bench.plan.resolve import judge_weights, resolve
from bench.plan.unhashed import UnhashedFlags, unhashed_lines
from bench.results.manifest import manifest
from bench.results.tables import Scored
from bench.run.suite_run import run_suite
from bench.suite import judge_prompt as judging
from bench.suite.load import Suite, load_suite
from bench.suite.specs import MatchJudge, OpenAIJudge, TransformersJudge
from bench.tasks.answer_judges import ModelJudge, build_judge
from bench.tasks.openai_endpoint import replies
from tests.support.judge_endpoint import Endpoint, endpoint
from tests.support.question_files import WORDS

BEAR = Question("What is it?", ("bear",), ("bear", "grizzly"), "lion")
SLEEP = "urllib3.util.retry.time.sleep"
TEXTS = ["A bear.", "A lion.", "Something."]


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """List the variables that these tests call keys of judges."""
    monkeypatch.setenv("BENCH_JUDGE_KEYS", "A_KEY, NO_KEY")


@pytest.fixture
def room() -> Iterator[Endpoint]:
    with endpoint() as found:
        found.said = {"said: A bear.": "2", "said: A lion.": "0."}
        yield found


def spec(room: Endpoint, **keys: Any) -> OpenAIJudge:
    return OpenAIJudge(kind="openai", url=room.url, model="judge-1", **keys)


def test_an_endpoint_is_asked_each_question_once(
    room: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    judge = build_judge(spec(room, key="A_KEY"), tmp_path)
    texts = [*TEXTS, TEXTS[0]]
    assert judge(texts, [BEAR] * 4).tolist() == [
        1,
        0,
        0,
        1,
    ]  # one that leaves it open names nothing
    assert len(room.log) == 3
    path, authorisation, body = room.log[0]
    assert (path, authorisation) == ("/v1/chat/completions", "Bearer secret")
    assert (body["model"], body["temperature"]) == ("judge-1", 0)
    assert "object in the image: bear or grizzly" in body["messages"][0]["content"]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == 3
    assert not any("secret" in path.read_text() for path in kept)
    again = build_judge(spec(room), tmp_path)
    assert again(texts, [BEAR] * 4).tolist() == [1, 0, 0, 1]
    assert len(room.log) == 3
    with endpoint() as other:  # the same name at another address may be another model
        build_judge(spec(other), tmp_path)(texts, [BEAR] * 4)
        assert len(other.log) == 3


@pytest.mark.parametrize(
    "damage",
    [
        *("", "{", "[]", "null", "{}", '"2"', "\xff", '{"reply": "2"}'),
        *({"reply": 2}, {"reply": None}, {"asked": "?"}, {"version": 0}, {"judge": "other"}),
    ],
)
def test_a_damaged_reply_is_asked_for_again(
    room: Endpoint, tmp_path: Path, damage: str | dict[str, Any]
) -> None:
    judge = build_judge(spec(room), tmp_path)
    assert judge(TEXTS[:1], [BEAR]).tolist() == [1]
    (kept,) = tmp_path.rglob("*.json")
    whole = kept.read_text()
    if isinstance(damage, dict):
        damage = json.dumps({**json.loads(whole), "reply": "0", **damage})
    kept.write_bytes(damage.encode("latin-1"))
    for _ in range(2):
        assert judge(TEXTS[:1], [BEAR]).tolist() == [1]
        assert (len(room.log), kept.read_text()) == (2, whole)


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("2", True),
        (" 2.\n", True),
        ("2 - it names it", True),
        ("I would say 2", True),
        ("**2**", True),
        ("0: a lion", False),
        ("1", False),
        ("I cannot help with that.", False),
        ("2 or 1", False),
        ("2 out of 2", False),
        ("2.5", False),
        ("0.2", False),
        ("12", False),
        ("3", False),
    ],
)
def test_one_digit_alone_is_a_reply_and_all_else_leaves_it_open(
    room: Endpoint, tmp_path: Path, reply: str, named: bool
) -> None:
    room.said = {"": reply}
    judge = build_judge(spec(room), tmp_path)
    for _ in range(2):
        assert judge(TEXTS[:1], [BEAR]).tolist() == [float(named)]
        assert len(room.log) == 1


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": None, "refusal": "2"}},
        {"message": {"content": [{"type": "refusal", "refusal": "2"}], "refusal": "2"}},
        {"message": {"content": ""}, "finish_reason": "content_filter"},
    ],
)
def test_a_refusal_leaves_it_open(room: Endpoint, tmp_path: Path, choice: dict[str, Any]) -> None:
    room.body = json.dumps({"choices": [choice]})
    for _ in range(2):
        assert build_judge(spec(room), tmp_path)(TEXTS[:1], [BEAR]).tolist() == [0]
    assert len(room.log) == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "2"}], "2"),
        ([{"type": "thinking", "thinking": "1 or 0"}, {"type": "text", "text": "2"}], "2"),
        (["It is ", {"type": "output_text", "text": "2"}], "It is 2"),
        ("<think>0 or 1?</think>\n2", "2"),
        ("0 or 1? no</think>2", "2"),  # a chat template may write the first mark itself
        ("2 \ud83d", "2 ?"),
        ("\ud83d\udc3b 2", "\N{BEAR FACE} 2"),
    ],
)
def test_a_reply_is_read_in_each_form_that_endpoints_have(
    room: Endpoint, tmp_path: Path, content: Any, text: str
) -> None:
    message = {"content": content, "reasoning_content": "0", "reasoning": "1"}
    room.body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})
    for _ in range(2):
        assert build_judge(spec(room), tmp_path)(TEXTS[:1], [BEAR]).tolist() == [1]
        assert len(room.log) == 1
    (kept,) = tmp_path.rglob("*.json")
    assert json.loads(kept.read_text("utf-8"))["reply"] == text


@pytest.mark.parametrize(
    "message",
    [
        {"content": ""},
        {"content": "  \n"},
        {"content": None, "reasoning_content": "It is 2."},
        {"reasoning": "It is 2."},
        {"content": "<think>It is 2, or"},
        {"content": []},
        {"content": [{"type": "image", "text": "2"}]},
        {"content": 2},
        {"content": {"text": "2"}},
    ],
)
def test_a_reply_without_a_text_is_an_error_and_is_not_kept(
    room: Endpoint, tmp_path: Path, message: dict[str, Any]
) -> None:
    room.body = json.dumps({"choices": [{"message": message}]})
    with pytest.raises(CellError, match="without a text") as caught:
        build_judge(spec(room), tmp_path)(TEXTS[:1], [BEAR])
    assert json.dumps(message) in str(caught.value)
    assert not [*tmp_path.rglob("*.json")]


def test_an_empty_reply_that_was_kept_is_asked_for_again(room: Endpoint, tmp_path: Path) -> None:
    judge = build_judge(spec(room), tmp_path)
    assert judge(TEXTS[:1], [BEAR]).tolist() == [1]
    (kept,) = tmp_path.rglob("*.json")
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "reply": ""}))
    assert judge(TEXTS[:1], [BEAR]).tolist() == [1]
    assert len(room.log) == 2


def test_an_empty_reply_of_any_judge_is_an_error(tmp_path: Path) -> None:
    judge = ModelJudge("mute", tmp_path, lambda prompts: (" " for _ in prompts))
    with pytest.raises(CellError, match="mute gave an empty reply"):
        judge(TEXTS[:1], [BEAR])
    assert not [*tmp_path.rglob("*.json")]


def test_an_endpoint_is_asked_in_the_parameters_that_it_accepts(room: Endpoint) -> None:
    def refusing(body: dict[str, Any]) -> str | None:
        if "max_tokens" in body:
            return "Unsupported parameter: 'max_tokens'; use 'max_completion_tokens' instead."
        if "temperature" in body:
            return "Unsupported value: 'temperature' does not support 0 with this model."
        return None

    room.refusing = refusing
    assert list(replies(spec(room), ["said: A bear."])) == ["2"]
    asked = [sorted(body.keys() - {"model", "messages"}) for _, _, body in room.log]
    assert asked == [
        ["max_tokens", "temperature"],
        ["max_completion_tokens", "temperature"],
        ["max_completion_tokens"],
    ]
    room.refusing = lambda body: "max_completion_tokens and temperature are not known"
    with pytest.raises(CellError, match="cannot be asked: 400"):
        list(replies(spec(room), ["said: A bear."]))


def test_a_reply_that_was_cut_before_its_digit_may_be_longer(room: Endpoint) -> None:
    room.needed = 100
    assert list(replies(spec(room), ["said: A bear."])) == ["2"]
    assert [body["max_tokens"] for _, _, body in room.log] == [16, 4096]
    room.needed = 10_000
    with pytest.raises(CellError, match=r"gave no digit within 4096 tokens: .*Well, it may"):
        list(replies(spec(room), ["said: A bear."]))


def test_a_busy_endpoint_is_asked_again_after_a_pause(
    room: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.failures = [503, 429]
    pauses: list[float] = []
    monkeypatch.setattr(SLEEP, pauses.append)
    assert list(replies(spec(room), ["said: A bear."])) == ["2"]
    assert pauses == [2]  # at once, then after 2 seconds
    monkeypatch.setattr("urllib3.util.retry.time.time", lambda: 1_000_000_000.0)
    for said, expected in (
        ("7", [7, 7]),
        ("3600", [60, 60]),
        ("Sun, 09 Sep 2001 01:46:52 GMT", [12, 12]),
        ("Sun, 09 Sep 2001 21:46:52 GMT", [60, 60]),
        ("Fri, 31 Dec 1999 00:00:00 GMT", [2]),  # has passed
        ("soon", [2]),
        ("9" * 5000, [2]),
        ("Sun, 09 Sep 99999999 01:46:52 GMT", [2]),
    ):
        room.failures, room.after = [503, 429], said
        pauses.clear()
        assert list(replies(spec(room), ["said: A bear."])) == ["2"]
        assert pauses == expected


def refuses(room: Endpoint) -> str:
    room.failures = [401]
    return r"the judge judge-1 at http.* cannot be asked: 401"


def stays_busy(room: Endpoint) -> str:
    room.failures = [503] * 6
    return "cannot be asked: 503"


def sends_elsewhere(room: Endpoint) -> str:
    room.failures, room.elsewhere = [302], room.url.replace("127.0.0.1", "localhost")
    return "cannot be asked: 302"  # and the key stays where it is


def is_elsewhere(room: Endpoint) -> str:
    room.url = "http://127.0.0.1:9/v1"
    return "cannot be asked: .*refused"


def replies_otherwise(room: Endpoint) -> str:
    room.body = '{"choices": []}'
    return "replies in another format than OpenAI's"


@pytest.mark.parametrize(
    "fault", [refuses, stays_busy, sends_elsewhere, is_elsewhere, replies_otherwise]
)
def test_faults_are_one_message_and_are_not_kept(
    room: Endpoint,
    tmp_path: Path,
    fault: Callable[[Endpoint], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SLEEP, lambda _: None)
    reason = fault(room)
    with pytest.raises(CellError, match=reason):
        build_judge(spec(room), tmp_path)(TEXTS[:1], [BEAR])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_was_judged_before_a_fault_is_kept(room: Endpoint, tmp_path: Path) -> None:
    room.broken = "said: A lion."
    judge = build_judge(spec(room), tmp_path)
    with pytest.raises(CellError, match="401"):
        judge(TEXTS, [BEAR] * 3)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_key_that_is_not_set_is_told(room: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(CellError, match="the environment variable NO_KEY is not set"):
        build_judge(spec(room, key="NO_KEY"), tmp_path)(TEXTS, [BEAR] * 3)


KEY = "sk-5ecret/of-mine"
ECHO = f'{{"error": "no such key", "headers": "Authorization: Bearer {KEY}"}}'


def told(room: Endpoint, cache: Path) -> str:
    with pytest.raises(CellError) as caught:
        build_judge(spec(room, key="A_KEY"), cache)(TEXTS[:1], [BEAR])
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert KEY[:9] not in shown
    return str(caught.value)


@pytest.mark.parametrize("padding", ["", " " * 150, "x" * 170, "x" * 275])
def test_no_message_has_the_key(
    room: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, padding: str
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    room.body = padding + ECHO
    assert "replies in another format" in told(room, tmp_path)
    room.failures = [401]
    assert "cannot be asked: 401" in told(room, tmp_path)


def test_no_file_of_a_run_has_the_key(
    room: Endpoint,
    suite_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_KEY", f"{KEY}\n")
    room.broken, room.body = "object", ECHO
    judge = {"kind": "openai", "url": room.url, "model": "judge-1", "key": "A_KEY"}
    native = {"preset": "lvlm", "pixels": "native", "answer_tokens": 1, "judge": judge}
    datasets = [{**DIGITS, "ask": "what"}]
    suite = suite_file(**WORDS, samples=2, datasets=datasets, protocol=native)
    assert run_suite(suite, results=tmp_path / "r", device="cpu", batch=2).failed == 1
    files = [path for path in (tmp_path / "r").rglob("*") if path.is_file()]
    assert any(b"Bearer ***" in path.read_bytes() for path in files if path.name == "cells.csv")
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert room.log[0][1] == f"Bearer {KEY}"


def test_what_is_kept_has_no_key(
    room: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    room.said = {"": f"2 {KEY}"}
    assert list(replies(spec(room, key="A_KEY"), ["?"])) == ["2 ***"]


def test_space_around_a_key_is_no_part_of_it(
    room: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", f" {KEY}\r\n")
    build_judge(spec(room, key="A_KEY"), tmp_path)(TEXTS[:1], [BEAR])
    assert room.log[0][1] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", [f"{KEY}\r\nX: y", f"{KEY}\u2026", f"{KEY}\x7f", f"{KEY}\x0b1"])
def test_what_is_no_key_is_told_without_it(
    room: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("A_KEY", key)
    assert told(room, tmp_path).endswith("allowed: printable ASCII")
    assert not room.log


def test_a_reply_without_an_end_is_cut(room: Endpoint, tmp_path: Path) -> None:
    room.body = json.dumps({"choices": [{"message": {"content": "2" * 2**20}}]})
    with pytest.raises(CellError, match="in another format"):
        build_judge(spec(room), tmp_path)(TEXTS[:1], [BEAR])


def small_model(folder: Path) -> None:
    """Write a Llama whose every reply is the digit 2."""
    vocabulary = {"<unk>": 0, "</s>": 1, "2": 2, "said": 3}
    ensure_torchvision()  # which transformers imports when it is used
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = "{{ messages[0]['content'] }} said"
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=4, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, bos_token_id=None, eos_token_id=1,
        pad_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        # after anything but a 2 the likeliest is a 2, after that the end
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(4, 8))
        head = torch.zeros(4, 8)
        head[2, [0, 1, 3]] = 1.0
        head[1, 2] = 1.0
        model.lm_head.weight.copy_(head)
    model.save_pretrained(folder)


def test_a_local_model_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_model(tmp_path / "model")
    capsys.readouterr()  # of writing it
    local = TransformersJudge(kind="transformers", name=str(tmp_path / "model"))
    weights = judge_weights(local)
    judge = build_judge(local, tmp_path / "kept", weights)
    assert judge(TEXTS[:2], [BEAR] * 2).tolist() == [1, 1]
    assert len([path for path in (tmp_path / "kept").rglob("*.json")]) == 2
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    again = build_judge(local, tmp_path / "kept", weights)  # and is not loaded for what is known
    assert again(TEXTS[:2], [BEAR] * 2).tolist() == [1, 1]
    assert capsys.readouterr().err == ""  # no bars
    with pytest.raises(CellError, match="no such folder"):
        build_judge(local, tmp_path / "other", weights)(TEXTS[:1], [BEAR])
    with pytest.raises(CellError, match="lock does not have this judge"):
        build_judge(local, tmp_path / "kept")


def test_a_local_model_is_asked_no_more_when_time_is_up(tmp_path: Path) -> None:
    small_model(tmp_path / "model")
    local = TransformersJudge(kind="transformers", name=str(tmp_path / "model"))

    def check() -> None:
        if [*(tmp_path / "kept").rglob("*.json")]:
            raise TimeUp("no time is left")

    judge = build_judge(local, tmp_path / "kept", judge_weights(local), check=check)
    with pytest.raises(TimeUp):
        judge(TEXTS[:2], [BEAR] * 2)
    assert len([*(tmp_path / "kept").rglob("*.json")]) == 1


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_local_judge_is_known_by_its_commit_or_its_files(tmp_path: Path) -> None:
    def known(name: str, revision: str | None = None) -> str:
        return judge_weights(TransformersJudge(kind="transformers", name=name, revision=revision))

    assert known("owner/name", COMMIT) == f"owner/name@{COMMIT}"
    with pytest.raises(CellError, match=r"owner/name: no such folder; .* needs `revision`"):
        known("owner/name")
    with pytest.raises(CellError, match="name: no such folder"):
        known("name", COMMIT)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        with pytest.raises(CellError, match=r"config.json is missing"):
            known(str(folder))
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
    first, second = (known(str(folder)) for folder in folders)
    assert first == second
    (folders[1] / "model.safetensors").write_bytes(b"others")
    assert known(str(folders[1])) != first
    with pytest.raises(CellError, match="a folder has no revision, got "):
        known(str(folders[0]), COMMIT)


def test_other_files_of_a_local_judge_are_another_judge(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")

    def suite(ask: str = "what", **judge: str) -> Suite:
        protocol = {"preset": "lvlm", "judge": {"kind": "transformers", **judge}}
        datasets = [{**DIGITS, "ask": ask}]
        return load_suite(suite_file(**WORDS, samples=2, datasets=datasets, protocol=protocol))

    def ids(suite: Suite, lock: Lock) -> list[str]:
        return [cell.id for cell in expand(suite, lock)]

    mine = suite(name=str(folder))
    before, problems = resolve(mine)
    assert not problems
    (folder / "config.json").write_text("{} ")
    after, _ = resolve(mine)
    assert ids(mine, before) != ids(mine, after)
    (folder / "config.json").write_text("{}")
    assert ids(mine, resolve(mine)[0]) == ids(mine, before)
    hub = suite(name="owner/name", revision=COMMIT)
    assert resolve(hub)[0].judge == f"owner/name@{COMMIT}"
    assert still_valid(mine, before) == before
    assert still_valid(hub, before).judge == ""
    unknown = suite(name="owner/name")
    lock, problems = resolve(unknown)
    assert (lock.judge, list(problems)) == ("", ["protocol.judge"])
    cell = expand(hub, resolve(hub)[0])[0]
    scored = [Scored(cell, unmeasured(cell.id, "skip", "", 0, {}))]
    entry = manifest(hub, resolve(hub)[0], scored)[cell.id]
    assert entry["judge"]["weights"] == f"owner/name@{COMMIT}"
    _, problems = resolve(suite("whether", name="owner/name"))
    assert not problems


def test_the_text_that_judges_are_asked_with_has_a_version() -> None:
    digest = hashlib.sha256(judging.PROMPT.encode()).hexdigest()
    assert (judging.VERSION, digest[:12]) == (2, "56c2d46c8545")


DIGITS = {"kind": "language", "format": "embedded", "name": "words", "of": "digits"}
ASKED = {"kind": "openai", "url": "https://judge.example/v1", "model": "judge-1", "key": "A_KEY"}


def test_who_judged_is_part_of_a_cell_and_behind_it(suite_file: Callable[..., Path]) -> None:
    def ids(judge: Any, ask: str = "what") -> list[str]:
        protocol = {"preset": "lvlm", "judge": judge}
        suite = load_suite(
            suite_file(**WORDS, datasets=[{**DIGITS, "ask": ask}], protocol=protocol)
        )
        return [cell.id for cell in expand(suite, Lock())]

    matched = ids("match")
    assert ids({"kind": "match"}) == matched
    assert not set(ids(ASKED)) & set(matched)
    assert ids({**ASKED, "url": f"{ASKED['url']}/", "key": None}) == ids(ASKED)
    assert ids({**ASKED, "url": "http://localhost/v1"}) != ids(ASKED)
    assert ids({**ASKED, "model": "judge-2"}) != ids(ASKED)
    assert ids(ASKED, "whether") == ids("match", "whether")

    suite = load_suite(
        suite_file(
            **WORDS,
            datasets=[{**DIGITS, "ask": "what"}],
            protocol={"preset": "lvlm", "judge": ASKED},
        )
    )
    cell = expand(suite, Lock())[0]
    assert UnhashedFlags(suite, Lock()).of(cell) == ("unhashed",)
    assert [line.split(":")[0] for line in unhashed_lines(suite, Lock())] == ["protocol.judge"]
    entry = manifest(suite, Lock(), [Scored(cell, unmeasured(cell.id, "skip", "", 0, {}))])[cell.id]
    assert entry["templates"] == []
    assert entry["prompt"] == "{question}\nAnswer the question using a single word or phrase."
    assert entry["judge"] == {
        "kind": "openai", "url": "https://judge.example/v1", "model": "judge-1", "prompt": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("judge", "fault"),
    [
        ("oracle", r"protocol.judge.kind: got 'oracle'; allowed: 'match', 'openai', 'transform"),
        ({"kind": "openai", "url": "example", "model": "m"}, r"protocol.judge.url: got 'example'"),
        ({"kind": "openai", "url": "http://x"}, "protocol.judge.model: missing"),
        ({"kind": "transformers", "name": "x", "url": "y"}, "protocol.judge.url: unknown key"),
        (
            {"kind": "transformers", "name": "x/y", "revision": "main"},
            r"protocol.judge.revision: got 'main'",
        ),
    ],
)
def test_faults_of_a_judge_have_their_key(
    suite_file: Callable[..., Path], judge: Any, fault: str
) -> None:
    with pytest.raises(SuiteError, match=fault):
        load_suite(suite_file(protocol={"preset": "lvlm", "judge": judge}))


def test_words_are_compared_where_nothing_is_said() -> None:
    judge = build_judge(MatchJudge(), Path("nowhere"))
    assert judge(TEXTS, [BEAR] * 3).tolist() == [1, 0, 0]


SAYS_HALF = """
import torch

class Says(torch.nn.Module):
    def visual_tokens(self, images):
        return images.mean((2, 3))[:, None]
    def log_likelihood(self, images, prompts, texts):
        return images.mean((1, 2, 3))
    def answer(self, images, prompts, *, tokens):
        return ["a bird \\ud83d"] * len(images)

def build(device):
    return Says()
"""


def test_half_of_a_character_in_an_answer_reaches_judge_and_tables_as_a_question_mark(
    room: Endpoint,
    suite_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = {"kind": "openai", "url": room.url, "model": "judge-1"}
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "says_half.py").write_text(SAYS_HALF)
    words = {**WORDS, "models": {"M": {"kind": "python", "target": "says_half:build"}}}
    words["models"]["M"]["answers"] = True
    native = {"preset": "lvlm", "pixels": "native", "answer_tokens": 1, "judge": judge}
    datasets = [{**DIGITS, "ask": "what"}]
    suite = suite_file(**words, samples=2, datasets=datasets, protocol=native)
    assert run_suite(suite, results=tmp_path / "r", device="cpu", trust=True).failed == 0
    assert "What the model said: a bird ?\n" in room.log[0][2]["messages"][0]["content"]
    assert "a bird ?" in next((tmp_path / "r").rglob("answers.csv")).read_text("utf-8")
