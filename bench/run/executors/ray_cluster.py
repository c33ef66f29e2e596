"""How this process comes to be part of a Ray cluster."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from bench.core.errors import UserError

_PATIENCE = 10.0  # seconds; Ray's own takes minutes, and then ends the process
_LENGTH = 240  # characters of Ray's reasons, which go on with general advice


def import_ray() -> ModuleType:
    """Return Ray.

    Raises:
        UserError: It is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else it reports to its makers
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise UserError(
            "--executor: got 'ray', which is not installed; pip install 'radapt-bench[ray]'"
        ) from error
    return ray


def check_cluster(address: str | None) -> None:
    """Say what is wrong with an address before anything is begun.

    Raises:
        UserError: Ray is not installed, or nothing answers there.
    """
    import_ray()
    _found(address)


def join(ray: ModuleType, address: str | None) -> None:
    """Join the cluster at an address, or start one of this machine's own where that is None.

    Raises:
        UserError: There is none, or it does not answer.
    """
    address = _found(address)
    try:
        with _same_sigterm():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level="error",
            )
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = gist(str(error))
        given = f"--address: got {address!r}" if address else "--executor: got 'ray'"
        raise UserError(f"{given}; Ray does not start: {reason}") from error


def gist(text: str) -> str:
    """Return the beginning of one of Ray's reasons, on one line."""
    return " ".join(text.split())[:_LENGTH]


def _found(address: str | None) -> str | None:
    """Return an address with `auto` resolved where the environment does, if something answers.

    Raises:
        UserError: Nothing does.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address in (None, "auto"):
        return address
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _PATIENCE).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"--address: got {address!r}, where nothing answers ({error}); "
            "allowed: HOST:PORT of a Ray cluster, or auto for the one that this node is part of"
        ) from error
    return address


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """Keep what SIGTERM does, as Ray would have it exit at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
