"""Makes hostile suites out of valid ones, reproducibly by a seed."""

import copy
import random
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

_PROTOCOL = {
    "preset": "radapt-paper",
    "pixels": {"size": 32, "fit": "crop", "short": 36, "kernel": "bilinear"},
    "resize": {"kernel": "bicubic", "antialias": False},
    "native": ["digits"],
    "templates": ["a photo of a {c}"],
    "storage": "uint8-round",
}
_NANO = {"kind": "nano", "weights": "clip"}
CLASSIFICATION: dict[str, Any] = {
    "suite": "hostile",
    "protocol": _PROTOCOL,
    "samples": 8,
    "seeds": [0, 1],
    "note": "not real",
    "models": {
        "CLIP": {**_NANO, "gpus": 0.5},
        "FARE": {"kind": "nano", "weights": "fare"},
        "Tag": {"kind": "open_clip", "name": "ViT-B-32-quickgelu", "pretrained": "openai"},
        "File": {
            "kind": "open_clip",
            "name": "ViT-B-32",
            "pretrained": "fare.pt",
            "preprocess": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            "activation": "gelu",
        },
        "Hub": {"kind": "hugging_face", "name": "openai/clip-vit-base-patch32", "revision": "main"},
        "R": {
            "kind": "radapt",
            "base": "CLIP",
            "anchor": {"white": "FARE", "resize": True},
            "sweep": {"alpha": [0.2, 1], "cutoff": [None, 40]},
        },
        "G": {"kind": "graft", "base": "CLIP", "donor": "FARE", "modules": ["Emb", "..B2"]},
        "Mine": {"kind": "python", "target": "mine.models:build", "args": {"path": "x.pt"}},
    },
    "datasets": [
        "cifar10",
        "digits",
        "wds/vtab/pets",
        {"kind": "folder", "name": "mine", "path": "pictures"},
        {"kind": "webdataset", "name": "shards", "path": "shards", "split": "test"},
        {"kind": "hub", "name": "food101", "shards": 2},
    ],
    "attacks": [
        {"kind": "pgd", "steps": 10, "eps": ["2/255", "4/255"], "restarts": 2},
        {"kind": "apgd-ce", "eps": 0.01, "nested": True, "precision": "bf16"},
        {"kind": "cw", "eps": 0.5, "norm": "l2", "kappa": 1},
        {"kind": "pyautoattack", "attack": ["square"], "queries": 100, "eps": "1/255"},
        {"kind": "torchattacks", "attack": "PGD", "args": {"steps": 3}, "eps": "1/255"},
        {"kind": "images", "eps": "1/255", "path": "given/{dataset}.npz"},
        {"preset": "fare-paper", "eps": "2/255"},
        {
            "kind": "ensemble",
            "name": "both",
            "eps": "3/255",
            "attacks": [{"kind": "fgsm"}, {"kind": "apgd-t", "targets": 3}],
        },
    ],
    "threats": ["white-box", {"transfer": "CLIP"}, {"transfer": ["CLIP", "FARE"]}],
    "against": {"file": "results/published/fare.csv", "table": "4"},
}
LANGUAGE: dict[str, Any] = {
    "suite": "hostile-language",
    "protocol": {
        "preset": "lvlm",
        "answer_tokens": 5,
        "judge": {"kind": "openai", "url": "https://example.com/v1", "model": "m", "key": "KEY"},
    },
    "samples": 8,
    "models": {
        "Tiny": {"kind": "lvlm-tiny", "family": "llava"},
        "LLaVA": {"kind": "lvlm", "name": "llava-hf/llava-1.5-7b-hf", "revision": "main"},
    },
    "datasets": [
        {
            **{"kind": "language", "name": "pope", "format": "pope"},
            **{"questions": "pope.json", "images": "pictures"},
        },
        {
            **{"kind": "language", "name": "digits", "format": "embedded"},
            **{"of": "digits", "ask": "whether"},
        },
    ],
    "attacks": [
        {"kind": "apgd-text", "eps": "2/255", "references": 2},
        {"kind": "apgd-text-targeted", "eps": "2/255", "target": "word"},
    ],
    "threats": ["white-box"],
}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 2**64, 10**21, -(10**30), 0.5, -0.0, 1e308),
    *(float("inf"), float("nan"), "", " ", "a", "1e999999999", "1/0", "4/255", "-1", "٣"),
    *("a" * 5000, "../../etc/passwd", "/dev/zero", "a\x00b", "\x1b[31mred", "[bold]", "{c} {x}"),
    *("é\u202eü", "\ud800", "CLIP", "linf", "white-box", "none", "2024-01-01", "~", "*a", "&b"),
    *([], {}, [[]], {"kind": "nano"}, {"a": {"b": {"c": []}}}, [None], ["x", 1, {}], {"": ""}),
    *({1: 2}, {"preset": "fare-paper"}, {"transfer": "CLIP"}, list(range(2000)), ["4/255"] * 50),
)


def hostile_suites(count: int, seed: int) -> Iterator[tuple[dict[str, Any], tuple[Path, ...]]]:
    """Yield suites with the paths that were changed, one to four in each.

    Args:
        count: Number of suites.
        seed: Seed of the changes.
    """
    random_state = random.Random(seed)
    for number in range(count):
        suite = copy.deepcopy(CLASSIFICATION if number % 4 else LANGUAGE)
        changes = random_state.choice((1, 1, 2, 4))
        changed = tuple(_change(suite, random_state) for _ in range(changes))
        yield suite, changed


def _change(suite: dict[str, Any], random_state: random.Random) -> Path:
    """Change one place of a suite, and return its path."""
    path = random_state.choice(list(_paths(suite)))
    inside: Any = suite
    for key in path[:-1]:
        inside = inside[key]
    key = path[-1]
    match random_state.choice(("value", "value", "value", "delete", "key", "twice", "type")):
        case "delete":
            del inside[key]
        case "key" if isinstance(inside, dict):
            inside[_misspelt(str(key), random_state)] = inside.pop(key)
        case "twice" if isinstance(inside, list):
            inside.append(inside[int(key)])
        case "type":
            given = inside[key]
            inside[key] = random_state.choice(([given], {"kind": given}, str(given)))
        case _:
            inside[key] = copy.deepcopy(random_state.choice(VALUES))
    return path


def _misspelt(word: str, random_state: random.Random) -> str:
    place = random_state.randrange(len(word) + 1)
    return word[:place] + random_state.choice("sX_-") + word[place + 1 :]


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of all keys and entries."""
    entries = value.items() if isinstance(value, dict) else ()
    for key, part in entries if not isinstance(value, list) else enumerate(value):
        yield (*path, key)
        yield from _paths(part, (*path, key))
