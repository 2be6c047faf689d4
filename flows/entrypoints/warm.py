"""A process that has imported everything already, and forks for each command: seconds of imports become milliseconds.

It is the watchdog, too: every few seconds it looks for rollouts whose process is gone, and forks for each of them.

`serve` is a program of the platform (`seatrial up`); `run_warm` is what a command calls first. The forked process gets
the caller's terminal, folder, environment and Ctrl-C; when the caller dies, it is interrupted as by Ctrl-C. Nothing
that reads settings runs before the fork. After a change of Seatrial's own files the process ends, and supervisord
starts it anew; the command that found it so runs by itself.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from deployments.errors import GiveUp
from deployments.rollout.state import RolloutState
from deployments.settings import Settings
from flows.entrypoints.watchdog import EVERY, Watchdog, carry_on

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("flows", "tasks", "deployments")
_INTERRUPT = b"I"
_ACCEPTED = b"accepted"
_LARGEST = 1 << 20
_forked = False


def socket_of(settings: Settings) -> Path:
    """Where the process listens."""
    return settings.run_folder / "warm.sock"


def run_warm(settings: Settings, arguments: list[str]) -> int | None:
    """Run a command in a fork of the warm process; its exit code, or None if there is no such process to be had.

    None also inside such a fork, and where SEATRIAL_WARM is false.
    """
    if _forked or not settings.warm:
        return None
    caller = socket.socket(socket.AF_UNIX)
    try:
        caller.connect(str(socket_of(settings)))
    except OSError:
        caller.close()
        return None
    request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    with caller:
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            socket.send_fds(caller, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
            if _word(caller) != _ACCEPTED:
                return None
        except OSError:  # it ended while this command waited for its turn
            return None
        code = _word(caller)
    if not code:
        raise GiveUp("the process of this command was killed: run it again, which first puts right what is left")
    return int(code)


def _word(caller: socket.socket) -> bytes:
    """What the other side said, up to the end of the line; empty when it is gone. Ctrl-C meanwhile is passed on."""
    word = b""
    while not word.endswith(b"\n"):
        try:
            letter = caller.recv(1)
        except KeyboardInterrupt:
            caller.sendall(_INTERRUPT)
            continue
        if not letter:
            return b""
        word += letter
    return word.strip()


def serve(settings: Settings, run: Callable[[], int]) -> None:
    """Import everything, then fork for each caller until SIGTERM; `run` is the command line over `sys.argv`."""
    known = _state_of_files()  # before the imports: a file that changes meanwhile is not what they read
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps the forks
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    place = socket_of(settings)
    listener = socket.socket(socket.AF_UNIX)
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    listener.bind(str(fresh))
    fresh.chmod(0o600)
    fresh.replace(place)
    listener.listen()
    listener.settimeout(EVERY.total_seconds())
    watchdog = Watchdog(settings)
    while True:
        caller = _next_caller(listener)
        if _state_of_files() != known:
            listener.close()
            if caller is not None:
                caller.close()  # nobody accepted it: it runs by itself
            os._exit(0)
        if caller is not None:
            if _fork() == 0:
                listener.close()
                _become(caller, run)
            caller.close()
        for orphan in watchdog.orphans():
            if _fork() == 0:
                listener.close()
                _take_over(settings, orphan)


def _next_caller(listener: socket.socket) -> socket.socket | None:
    """None when nobody came for a while."""
    try:
        caller, _ = listener.accept()
    except TimeoutError:
        return None
    caller.settimeout(None)
    return caller


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads; none runs yet
        return os.fork()


def _take_over(settings: Settings, orphan: RolloutState) -> NoReturn:
    """From here on this process carries a rollout whose process is gone."""
    global _forked
    _forked, code = True, 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        code = carry_on(settings, orphan)
    finally:
        atexit._run_exitfuncs()
        os._exit(code)


def _become(caller: socket.socket, run: Callable[[], int]) -> None:
    """From here on this process is the caller's command."""
    global _forked
    _forked, code = True, 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        caller.sendall(_ACCEPTED + b"\n")
        message, terminal, _, _ = socket.recv_fds(caller, _LARGEST, 3)
        while not message.endswith(b"\n"):
            message += caller.recv(_LARGEST)
        request = json.loads(message)
        for number, descriptor in enumerate(terminal):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = ["seatrial", *request["arguments"]]
        threading.Thread(target=_listen, args=(caller,), daemon=True).start()
        code = run()
    finally:
        _leave(caller, code)


def _leave(caller: socket.socket, code: int) -> NoReturn:
    """Tell the caller, who may be gone together with its terminal, and end. Tearing the modules down is left out."""
    try:
        atexit._run_exitfuncs()  # Prefect sends its last log lines here
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller leaves once it has the code: no interruption any more
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        with contextlib.suppress(OSError):
            caller.sendall(f"{code}\n".encode())
    finally:
        os._exit(code)


def _listen(caller: socket.socket) -> None:
    """Ctrl-C in the caller's terminal, or the caller's death, interrupts this process."""
    while caller.recv(1) == _INTERRUPT:
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def _state_of_files() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for name in _PACKAGES for path in (_ROOT / name).rglob("*.py")}


def main() -> None:
    """`python -m flows.entrypoints.warm`: what supervisord runs."""
    from flows.entrypoints.cli import run

    known_to_cli = import_module("flows.entrypoints.warm")  # this file runs as __main__, which is another module
    known_to_cli.serve(Settings(), run)


def _import_everything() -> None:
    from tasks.warming import import_libraries

    import_libraries()
    for name in ("flows.release", "flows.rollback", "flows.starting", "deployments.routers.envoy"):
        import_module(name)


if __name__ == "__main__":
    main()
