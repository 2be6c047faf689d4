"""Everything that another account of the machine may try against a platform; a program, told in JSON on stdin.

It becomes `nobody`, and prints what it reached: nothing is to be printed that a test does not expect.
"""

import contextlib
import encodings.idna  # noqa: F401 - the other account may not read this Python's files
import http.client
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOBODY = 65534
# Of a process, what would show its keys or hand them out.
_OF_A_PROCESS = ("environ", "maps", "mem", "auxv", "syscall", "stack", "io", "fd", "cwd", "map_files")


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    os.umask(0)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    files = [path for path in asked["files"] if reaches(path)]
    processes = [f"{pid}/{name}" for pid in asked["processes"] for name in _OF_A_PROCESS if shown(pid, name)]
    sockets = [path for path in asked["sockets"] if connects(path)]
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in asked["processes"]]
    answers = [[port, path, status(port, path)] for port, path in asked["requests"]]
    reached = {"files": files, "processes": processes, "sockets": sockets, "commands": commands, "answers": answers}
    print(json.dumps(reached))  # noqa: T201


def reaches(path: str) -> bool:
    """Whether any of these is done to a file or folder."""
    place, elsewhere = Path(path), Path(tempfile.gettempdir()) / f"seatrial-linked-{os.getpid()}"
    tries: list[Callable[[], Any]] = [
        lambda: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK)),
        lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)),
        lambda: list(place.iterdir()),
        place.readlink,
        lambda: place.chmod(0o700),
        lambda: os.utime(path),
        lambda: place.rename(f"{path}.taken"),
        lambda: elsewhere.hardlink_to(place),
        lambda: Path(f"{path}.link").symlink_to("/etc/passwd"),
        lambda: Path(path, "mine").mkdir(),
    ]
    return any(works(each) for each in tries)


def shown(pid: int, name: str) -> bool:
    place = Path(f"/proc/{pid}/{name}")

    def look() -> None:
        if name in {"fd", "map_files"}:
            list(place.iterdir())
        elif name == "cwd":
            place.readlink()
        else:
            with place.open("rb") as file:
                file.read(1)

    return works(look)


def connects(path: str) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(60)
        return works(lambda: client.connect("\0" + path[1:] if path.startswith("@") else path))


def status(port: int, path: str) -> int | None:
    """What is answered; None for what speaks no HTTP."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        try:
            method, _, place = path.partition(" ")
            body = None if method == "GET" else "{}"
            connection.request(method, place, body, {"content-type": "application/json"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def works(attempt: Callable[[], Any]) -> bool:
    with contextlib.suppress(OSError):
        attempt()
        return True
    return False


if __name__ == "__main__":
    main()
