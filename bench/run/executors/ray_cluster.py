"""Import Ray, and join or start a Ray cluster."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from bench.core.errors import UserError
from radapt.optional_packages import not_installed

_TIMEOUT = 10.0  # seconds; Ray's own timeout is minutes, and then Ray ends the process
_LENGTH = 240  # characters of Ray's error messages, which continue with general advice


def import_ray() -> ModuleType:
    """Import Ray and return the module.

    Raises:
        UserError: Ray is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else Ray sends usage statistics
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise UserError(f"--executor: got 'ray', but {not_installed('ray')}") from error
    return ray


def check_cluster(address: str | None) -> None:
    """Check that Ray is installed and that a cluster answers at an address.

    Raises:
        UserError: Ray is not installed, or nothing answers at the address.
    """
    import_ray()
    _reachable(address)


def join(ray: ModuleType, address: str | None) -> None:
    """Join the cluster at an address; None starts a local cluster.

    Raises:
        UserError: No cluster answers at the address, or Ray does not start.
    """
    address = _reachable(address)
    try:
        with _same_sigterm():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level="error",
            )
    except Exception as error:  # Ray raises many types, and `Exception` itself on a busy machine
        reason = shorten(str(error))
        given = f"--address: got {address!r}" if address else "--executor: got 'ray'"
        raise UserError(f"{given}; Ray does not start: {reason}") from error


def shorten(text: str) -> str:
    """Return the beginning of an error message of Ray, on one line."""
    return " ".join(text.split())[:_LENGTH]


def _reachable(address: str | None) -> str | None:
    """Return an address at which something answers; `auto` is replaced by RAY_ADDRESS if set.

    Raises:
        UserError: Nothing answers at the address.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address in (None, "auto"):
        return address
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _TIMEOUT).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"--address: got {address!r}, where nothing answers ({error}); "
            "allowed: HOST:PORT of a Ray cluster, or auto for the cluster of this node"
        ) from error
    return address


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, which Ray replaces by an immediate exit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
