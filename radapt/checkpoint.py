"""Write and read training states."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from radapt.atomic_write import write_atomically


def save_atomically(state: Mapping[str, object], path: Path) -> None:
    """Write a training state atomically: a reader sees the old state or the new one."""
    write_atomically(path, lambda part: torch.save(state, part))


def load_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return a training state that `save_atomically` wrote.

    Raises:
        ValueError: The file is damaged. It is not deleted: the user decides whether to start again.
        OSError: The file is missing or cannot be read.
    """
    with damage_named(path):
        state: Any = torch.load(path, map_location=device, weights_only=True)
        _ = state["identity"]
        return dict(state)


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn the errors of the block, which reads a training state, into a sentence.

    Raises:
        ValueError: The state is damaged.
        OSError: The file is missing or cannot be read.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # pickle raises nearly every type for damaged bytes
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: damaged ({why}); remove it to start again") from error
