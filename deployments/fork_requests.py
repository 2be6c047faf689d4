"""Who asks a process for a fork over its Unix socket, and for what: the same account, and one line of JSON."""

import contextlib
import selectors
import socket
import time
from typing import Final

from deployments.account_isolation import is_same_account

MOST_SILENT: Final = 64
_LARGEST: Final = 1 << 20
# Environment and arguments, which the system itself lets be 2 MiB, as JSON.
_MOST_BYTES: Final = 16 << 20
_PATIENCE_SECONDS: Final = 10.0


class Callers:
    """Those who come to `listener`. Only one who has said something gets a fork: each takes memory.

    `woken_by` is a further socket: what comes there ends the wait for a caller.
    """

    def __init__(self, listener: socket.socket, woken_by: socket.socket | None = None) -> None:
        self._silent: list[socket.socket] = []
        self._listener, self._woken_by = listener, woken_by
        self._selector = selectors.DefaultSelector()
        for each in filter(None, (listener, woken_by)):
            each.setblocking(False)
            self._selector.register(each, selectors.EVENT_READ)

    def next(self, seconds: float) -> socket.socket | None:
        """Somebody who has said something; None when nobody did yet, for so long or since one more has come.

        Whoever is silent goes when there are too many of them.
        """
        ready = [key.fileobj for key, _ in self._selector.select(seconds)]
        if self._woken_by is not None and self._woken_by in ready:
            self._woken_by.recv(_LARGEST)
        for caller in [each for each in self._silent if each in ready][:1]:
            self._selector.unregister(caller)
            self._silent.remove(caller)
            if _has_left(caller):
                caller.close()
                return None
            return caller
        if self._listener in ready:
            with contextlib.suppress(OSError):  # gone meanwhile
                self._take(self._listener.accept()[0])
        return None

    def close(self) -> None:
        """Lets all of them go, but the one that `next` returned; a fork has copies of them, too."""
        self._selector.close()
        for each in filter(None, (self._listener, self._woken_by, *self._silent)):
            each.close()

    def _take(self, caller: socket.socket) -> None:
        if not is_same_account(caller):
            caller.close()
            return
        caller.setblocking(True)
        self._selector.register(caller, selectors.EVENT_READ)
        self._silent.append(caller)
        if len(self._silent) > MOST_SILENT:
            longest = self._silent.pop(0)
            self._selector.unregister(longest)
            longest.close()


def request_of(caller: socket.socket, most_files: int) -> tuple[bytes, list[int]]:
    """What it sends, to the end of the line or beyond, and the files that it gives.

    Raises OSError if that takes too long, or is too much.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    caller.settimeout(_PATIENCE_SECONDS)
    message, files, _, _ = socket.recv_fds(caller, _LARGEST, most_files)
    while b"\n" not in message:
        part = caller.recv(_LARGEST)
        message += part
        if not part or len(message) > _MOST_BYTES or time.monotonic() > deadline:
            raise ConnectionAbortedError
    caller.settimeout(None)
    return message, files


def _has_left(caller: socket.socket) -> bool:
    """Whether it hung up without a word."""
    try:
        return not caller.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
