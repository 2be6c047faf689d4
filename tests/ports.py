"""Ports of loopback that nobody else takes between the moment they are picked and the moment somebody listens there."""

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below those that the system gives to whoever connects to somewhere, and above those of well-known services.
_RANGE = range(20_000, 32_000)
# Whoever picks a port holds a file of its number until the process ends: workers of a run, and other runs, keep off it.
_FOLDER = Path(tempfile.gettempdir()) / f"seatrial-test-ports-{os.getuid()}"
_held: dict[int, int] = {}


def free_port() -> int:
    """One that nobody listens at; it is this process's own from now on."""
    _FOLDER.mkdir(exist_ok=True)
    for port in random.sample(_RANGE, len(_RANGE)):
        if port not in _held and _taken(port):
            return port
    raise AssertionError(f"no port of {_RANGE} is free")


def free_ports(count: int) -> list[int]:
    """So many, each another."""
    return [free_port() for _ in range(count)]


def _taken(port: int) -> bool:
    """Whether it is ours now."""
    descriptor = os.open(_FOLDER / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_free(port):
            _held[port] = descriptor
            return True
    os.close(descriptor)
    return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False
