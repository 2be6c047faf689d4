"""`python -m deployments.serving.forkserver FOLDER`: has imported what model servers need, and forks for each of them.

A model server that is started by itself takes seconds of a core for its imports and keeps them in memory; a fork has
both from here. This process holds no model and runs no code of a model: what goes wrong in a fork ends that fork.
`forkserver_client` is the other side of the socket in `FOLDER`.
"""

import atexit
import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import sysconfig
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

import psutil

from deployments.account_isolation import restrict_new_files
from deployments.fork_requests import Callers, request_of
from deployments.serving.forkserver_client import ACCEPTED, SOCKET
from deployments.serving.server_log import log_as_json, log_event, place_of
from deployments.serving.startup.socket_handover import unix_listener

_FURTHER: Final = (
    "skops.io",  # first: it looks through every module that is there
    "deployments.serving.main",
    "deployments.serving.compiled.compiler",
    "numpy",
    "pandas",
    "pyarrow.pandas_compat",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "uvloop",
)
# Of a process's environment, what is its own and read by nobody while modules are imported.
_OWN: Final = ("SEATRIAL_", "SUPERVISOR_")
_OWN_NAMES: Final = frozenset({"PWD", "OLDPWD", "SHLVL", "_"})
_EVER: Final = 3600.0
# Of Linux, which some versions of Python do not name.
_SET_SIGNAL: Final = 10


def serve(folder: Path) -> NoReturn:
    """Forks for whoever asks, until SIGTERM or a change of the files that it was imported from."""
    known = _state_of_files()  # before the imports: a file that changes meanwhile is not what they read
    given = dict(os.environ)  # to which imports may add
    with unix_listener(folder / SOCKET) as listener:
        for name in _FURTHER:
            import_module(name)
        gc.collect()
        gc.freeze()
        log_as_json()
        log_event("ready", memory_mb=round(psutil.Process().memory_info().rss / 1e6, 1), pid=os.getpid())
        ended, on_end = socket.socketpair()
        on_end.setblocking(False)
        signal.set_wakeup_fd(on_end.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        callers, forks = Callers(listener, ended), dict[int, socket.socket]()
        while True:
            caller = callers.next(_EVER)
            _tell_ends(forks)
            if caller is None:
                continue
            if _state_of_files() != known:
                caller.close()  # it serves by itself
                os._exit(0)
            with contextlib.suppress(OSError):  # no memory, no process to be had
                pid = _fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    for each in (on_end, *forks.values()):
                        each.close()
                    callers.close()
                    _become(caller, given)
                forks[pid] = caller
                continue
            caller.close()


def _tell_ends(forks: dict[int, socket.socket]) -> None:
    """To those who stand for forks that are over, how each ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with contextlib.suppress(OSError), forks.pop(ended[0]) as caller:
                caller.sendall(f"{ended[1]}\n".encode())


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jemalloc has a thread, anew in each fork
        return os.fork()


def _become(caller: socket.socket, given: Mapping[str, str]) -> NoReturn:
    """From here on this process is the caller's model server; it ends at once where it cannot be."""
    code = 1
    try:
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        message, files = request_of(caller, most_files=4)
        request = json.loads(message)
        if differing := _differing(given, request["environment"]):
            log_event("declined", differing=", ".join(differing))
        else:
            added = {name: each for name, each in os.environ.items() if name not in given}
            _take_place(caller, files, request["folder"], added | request["environment"])
            code = _served(request["arguments"])
    except (OSError, ValueError) as error:  # it is gone, or of another session: it serves by itself
        log_event("declined", error=place_of(error))
    except Exception:  # noqa: BLE001 - the edge of the process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _differing(given: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """Variables by which other modules could have been imported, or would compute otherwise."""
    return [
        name
        for name in sorted({*given, *environment})
        if given.get(name) != environment.get(name) and not name.startswith(_OWN) and name not in _OWN_NAMES
    ]


def _take_place(caller: socket.socket, files: list[int], folder: str, environment: Mapping[str, str]) -> None:
    *standard, watched = files
    pid = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    os.setpgid(0, os.getpgid(pid))  # whoever signals the caller's group means this process, too
    _die_with(watched)
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    import_module("numpy").random.seed()  # else all forks would draw the same
    caller.sendall(b"%s %d\n" % (ACCEPTED, os.getpid()))


def _die_with(watched: int) -> None:
    """Has the kernel kill this process once nobody holds the other end of the pipe, whatever a model does here."""
    fcntl.fcntl(watched, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(watched, _SET_SIGNAL, signal.SIGKILL)
    fcntl.fcntl(watched, fcntl.F_SETFL, fcntl.fcntl(watched, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([watched], [], [], 0)[0]:
        raise BrokenPipeError


def _served(arguments: list[str]) -> int:
    from deployments.serving.main import run

    sys.argv = ["deployments.serving", *arguments]
    try:
        run()
    except SystemExit as ended:
        atexit._run_exitfuncs()
        return ended.code if isinstance(ended.code, int) else 1


def _state_of_files() -> dict[str, int]:
    """When our own modules were changed, and anything of other packages was installed."""
    ours = Path(__file__).parents[1].rglob("*.py")
    return {str(path): path.stat().st_mtime_ns for path in (*ours, Path(sysconfig.get_path("purelib")))}


def main() -> None:
    """By the command line."""
    restrict_new_files()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    serve(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
