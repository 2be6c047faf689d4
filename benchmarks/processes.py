"""Processes that a benchmark starts on loopback, waits for, and ends."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LONGEST_START = 10.0
_LONGEST_GOODBYE = 10.0


@contextlib.contextmanager
def process(command: Sequence[str], log: Path | None = None) -> Iterator[None]:
    """`command` runs inside the block, in a group of its own; what it says goes to `log`, or nowhere."""
    with log.open("wb") if log else contextlib.nullcontext(subprocess.DEVNULL) as output:
        made = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        try:
            yield
        finally:
            made.terminate()
            try:
                made.wait(_LONGEST_GOODBYE)
            except subprocess.TimeoutExpired:
                made.kill()
                made.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Return once somebody listens there; SystemExit after ten seconds."""
    until = time.monotonic() + _LONGEST_START
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)  # between two looks
    raise SystemExit(f"nothing listens on 127.0.0.1:{port} after {_LONGEST_START:g} s")
