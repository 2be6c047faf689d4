"""Asking the fork server for a model server: this process then only stands for it before supervisord.

Signals come to the fork as to this process, for it joins its process group; when this process is gone, however it
went, the kernel kills the fork. Imports nothing heavy: a process of this kind stays beside each server.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

# What supervisord and all below it have in their environment: the folder of its sockets.
_SUPERVISED: Final = "SEATRIAL_SUPERVISOR"
SOCKET: Final = "forkserver.sock"
ACCEPTED: Final = b"accepted"
# After a start of the machine it begins together with those who ask. Its socket stays there when it ends; where there
# is none, most likely nobody will come. It listens at once, and takes seconds until it has imported all.
_LISTENS_WITHIN: Final = 10.0
_APPEARS_WITHIN: Final = 1.0
_ACCEPTS_WITHIN: Final = 60.0
_POLL: Final = 0.05


def run_forked() -> None:
    """Ends with the model server that the fork server has made of this command; returns where there is none to be had.

    None is looked for unless supervisord has started this process and keeps a fork server, too.
    """
    folder = os.environ.get(_SUPERVISED)
    if not folder or sys.platform != "linux":
        return
    with contextlib.ExitStack() as held:
        server = _connected(Path(folder) / SOCKET)
        if server is None:
            return
        held.enter_context(server)
        watched, ours = os.pipe()
        try:
            pid = _asked(server, watched)
        finally:
            os.close(watched)
        if pid is None:
            os.close(ours)  # a fork that comes too late goes with it
            return
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fork has it from the terminal
        signal.signal(signal.SIGTERM, lambda *_: _pass_on(pid))
        _end_as(server.makefile("rb").readline())


def _connected(path: Path) -> socket.socket | None:
    began = time.monotonic()
    while True:
        caller = socket.socket(socket.AF_UNIX)
        try:
            caller.connect(str(path))
            return caller
        except OSError:
            caller.close()
        if time.monotonic() - began >= (_LISTENS_WITHIN if path.exists() else _APPEARS_WITHIN):
            return None
        time.sleep(_POLL)


def _asked(server: socket.socket, watched: int) -> int | None:
    """The pid of the fork; None when none has come in time."""
    request = {"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": str(Path.cwd())}
    server.settimeout(_ACCEPTS_WITHIN)
    try:
        socket.send_fds(server, [json.dumps(request).encode() + b"\n"], [0, 1, 2, watched])
        said = b""
        while not said.endswith(b"\n"):
            letter = server.recv(1)
            if not letter:
                return None
            said += letter
    except OSError:
        return None
    server.settimeout(None)
    word, _, pid = said.partition(b" ")
    return int(pid) if word == ACCEPTED else None


def _pass_on(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM)


def _end_as(status: bytes) -> None:
    """Ends as the fork did, so that supervisord sees how; with 1 where the fork server is gone and cannot say."""
    code = os.waitstatus_to_exitcode(int(status)) if status else 1
    if code < 0:
        with contextlib.suppress(OSError):  # of SIGKILL
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
