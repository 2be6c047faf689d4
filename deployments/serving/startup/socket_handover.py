"""Sockets that change hands without a moment in which nobody listens."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BACKLOG = 2048


@contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket at `path`, for this user alone.

    It takes the path over from a server that listens there now; that one keeps the connections it has.
    The file is removed at the end, unless another server has taken it over in turn.
    """
    temporary = path.with_name(f".{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(temporary))
        temporary.chmod(0o600)
        listener.listen(_BACKLOG)
        temporary.replace(path)
        ours = path.stat().st_ino
        try:
            yield listener
        finally:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == ours:
                    path.unlink()


@contextmanager
def tcp_listener(host: str, port: int) -> Iterator[socket.socket]:
    """A listening TCP socket; with the host `*` on all addresses of both families, as far as there are any."""
    every = host == "*"
    both = every and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    address = ("" if every else host, port)
    with socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=both) as listener:
        yield listener
