"""A cache on the local disk in the layout of the hub's client, for tests without a network."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

FIRST, SECOND = "a" * 40, "b" * 40  # commits


def offline(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let the hub's client use this cache and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def put(
    cache: Path,
    repo: str,
    files: Mapping[str, bytes],
    commit: str = FIRST,
    refs: tuple[str, ...] = ("main",),
) -> Path:
    """Put a model's repository at one commit into a cache, and return its snapshot."""
    root = cache / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    for folder in (root / "refs", root / "blobs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    for ref in refs:
        (root / "refs" / ref).write_text(commit)
    for name, content in files.items():
        blob = root / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).parent.mkdir(exist_ok=True)
        (snapshot / name).unlink(missing_ok=True)
        (snapshot / name).symlink_to(blob)
    return snapshot


def folder_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
