"""A process that has imported everything already, and forks for each command: seconds of imports become milliseconds.

It is the watchdog, too: every few seconds it looks for rollouts whose process is gone, and forks for each of them.

`serve` is a program of the platform (`seatrial up`); what a command calls first is in `prefork_client`. The fork gets
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
from pkgutil import resolve_name
from typing import NoReturn

from deployments.account_isolation import restrict_new_files
from deployments.fork_requests import Callers, request_of
from deployments.local_platform.environment import password_of_prefect
from deployments.proxy_environment import heed_proxies
from deployments.rollout.state import RolloutState
from deployments.serving.startup.socket_handover import unix_listener
from deployments.settings import Settings
from flows.entrypoints.runner import prefork_client
from flows.entrypoints.runner.prefork_client import ACCEPTED, INTERRUPT, socket_of
from flows.entrypoints.runner.watchdog import EVERY, Watchdog, carry_on
from tasks import signals

_ROOT = Path(__file__).parents[3]
_PACKAGES = ("flows", "tasks", "deployments")


def serve(settings: Settings, run: Callable[[], int]) -> None:
    """Import everything, then fork for each caller until SIGTERM; `run` is the command line over `sys.argv`."""
    known = _state_of_files()  # before the imports: a file that changes meanwhile is not what they read
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps the forks
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with unix_listener(socket_of(settings)) as listener:
        callers, watchdog = Callers(listener), Watchdog(settings)
        while True:
            caller = callers.next(EVERY.total_seconds())
            if _state_of_files() != known:
                callers.close()
                if caller is not None:
                    caller.close()  # nobody accepted it: it runs by itself
                os._exit(0)
            if caller is not None:
                if _fork() == 0:
                    callers.close()
                    _become(caller, run)
                caller.close()
            for orphan in watchdog.orphans():
                if _fork() == 0:
                    callers.close()
                    _take_over(settings, orphan)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads; none runs yet
        return os.fork()


def _take_over(settings: Settings, orphan: RolloutState) -> NoReturn:
    """From here on this process carries a rollout whose process is gone."""
    prefork_client.forked = True
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signals.PRESENT.heed()
        code = carry_on(settings, orphan)
    finally:
        atexit._run_exitfuncs()
        os._exit(code)


def _become(caller: socket.socket, run: Callable[[], int]) -> None:
    """From here on this process is the caller's command."""
    prefork_client.forked = True
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signals.PRESENT.heed()
        caller.sendall(ACCEPTED + b"\n")
        message, terminal = request_of(caller, most_files=3)
        message, _, interrupted = message.partition(b"\n")
        request = json.loads(message)
        for number, descriptor in enumerate(terminal):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = ["seatrial", *request["arguments"]]
        threading.Thread(target=_listen, args=(caller, bool(interrupted)), daemon=True).start()
        code = run()
    finally:
        _leave(caller, code)


def _leave(caller: socket.socket, code: int) -> NoReturn:
    """Tell the caller, who may be gone together with its terminal, and end. Tearing the modules down is left out."""

    def go(*_: object) -> NoReturn:
        try:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            with contextlib.suppress(OSError):
                caller.sendall(f"{code}\n".encode())
        finally:
            os._exit(code)

    for number in (signal.SIGINT, signal.SIGTERM):  # the work is done: who is in a hurry need not wait for farewells
        signal.signal(number, go)
    try:
        atexit._run_exitfuncs()  # Prefect sends its last log lines here
        for number in (signal.SIGINT, signal.SIGTERM):  # the caller leaves once it has the code
            signal.signal(number, signal.SIG_IGN)
    finally:
        go()


def _listen(caller: socket.socket, interrupted: bool) -> None:
    """Ctrl-C in the caller's terminal, or the caller's death, interrupts this process."""
    while interrupted or caller.recv(1) == INTERRUPT:
        interrupted = False
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def _state_of_files() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for name in _PACKAGES for path in (_ROOT / name).rglob("*.py")}


def main(command_line: str) -> None:
    """`python -m flows.entrypoints.runner.prefork MODULE:FUNCTION`, by supervisord; FUNCTION is a command line."""
    restrict_new_files()
    heed_proxies()
    run = resolve_name(command_line)
    # Prefect reads its settings while it is imported: later, in a fork, it would not hear of the password.
    os.environ.update(password_of_prefect(Settings()))
    serve(Settings(), run)


def _import_everything() -> None:
    from tasks.preload import import_libraries

    import_libraries()
    for name in ("flows.release", "flows.rollback", "flows.submission", "deployments.routers.envoy"):
        import_module(name)


if __name__ == "__main__":
    main(sys.argv[1])
