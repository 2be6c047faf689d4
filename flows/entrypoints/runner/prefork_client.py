"""Asking the preforked process to run a command: the forked process gets the terminal, folder, environment and Ctrl-C.

See `flows.entrypoints.runner.prefork`, which is the other side of the socket.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from deployments.account_isolation import is_same_account
from deployments.settings import Settings

INTERRUPT = b"I"
ACCEPTED = b"accepted"
# Set in forks of the preforked process, which ask for no other.
forked = False


class KilledError(Exception):
    """The fork that did a command's work is gone, and did not say how the work ended."""


def socket_of(settings: Settings) -> Path:
    """Where the process listens."""
    return settings.run_folder / "warm.sock"


def run_preforked(settings: Settings, arguments: list[str], accepted_within: float | None = None) -> int | None:
    """Run a command in a fork of the warm process; its exit code, or None if there is no such process to be had.

    None also inside such a fork, where SEATRIAL_WARM is false, and after so many seconds in which nobody accepted the
    command (None: it is waited for). Raises `KilledError` if the fork went so.
    """
    if forked or not settings.warm:
        return None
    caller = socket.socket(socket.AF_UNIX)
    try:
        caller.connect(str(socket_of(settings)))
    except OSError:
        caller.close()
        return None
    if not is_same_account(caller):  # who gets a command gets its environment and its terminal
        caller.close()
        return None
    request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    with caller:
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            socket.send_fds(caller, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
            caller.settimeout(accepted_within)
            if _word(caller) != ACCEPTED:
                return None
            caller.settimeout(None)
        except OSError:  # it ended while this command waited for its turn
            return None
        with _passing_interruptions_on(caller):
            code = _word(caller)
    if not code:
        raise KilledError
    return int(code)


def _word(caller: socket.socket) -> bytes:
    """What the other side said, up to the end of the line; empty when it is gone."""
    word = b""
    while not word.endswith(b"\n"):
        letter = caller.recv(1)
        if not letter:
            return b""
        word += letter
    return word.strip()


@contextlib.contextmanager
def _passing_interruptions_on(caller: socket.socket) -> Iterator[None]:
    """A block in which Ctrl-C and SIGTERM are the other side's: it puts right what it moved, and then says its code."""

    def pass_on(*_: object) -> None:
        with contextlib.suppress(OSError):
            caller.sendall(INTERRUPT)

    former = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
