"""A Prefect server for the time of one command, where the platform is not up.

Prefect would start one by itself, but in the process group of the command: what ends the command (Ctrl-C, `timeout`, a
closed terminal) would end that server first, and nothing could be noted of the champion that is put back. After a
kill it would stay. This one has a session of its own, and ends when the last end of a pipe to it is closed.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta

from deployments.clock import SystemClock
from deployments.errors import PlatformUnreachable
from deployments.local_platform.await_ready import answers, wait_until
from deployments.settings import Settings

_NAME = "prefect-for-one-command"
_LIMIT = timedelta(minutes=2)
_FAREWELL_SECONDS = 5.0


class PrefectForOneCommand:
    """The server, which is starting. Let Prefect be imported with `api_url` in its settings only."""

    def __init__(self, settings: Settings) -> None:
        settings.logs.mkdir(parents=True, exist_ok=True)
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            (settings.logs / f"{_NAME}.log").open("wb") as log,
        ):
            self.api_url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.entrypoints.runner.temporary_prefect", str(listening.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listening.fileno()],
                start_new_session=True,
                env=os.environ | {"SEATRIAL_KEYS": str(settings.keys_folder)},
            )
        atexit.register(self._end)

    def wait(self) -> None:
        """Return when it answers. Raises `PlatformUnreachable` if it does not within two minutes, or ended."""
        wait_until(self._answers, _NAME, _LIMIT, SystemClock())

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise PlatformUnreachable(f"Prefect's server did not come up: see `seatrial logs {_NAME}`")
        return answers(f"{self.api_url}/health")

    def _end(self) -> None:
        """What Prefect sends at the end of a process has been sent when this is called."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(2 * _FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """`python -m flows.entrypoints.runner.temporary_prefect SOCKET`: serves until standard input is at its end."""
    threading.Thread(target=_end_with_command, daemon=True).start()
    from flows.entrypoints.runner.prefect_server import serve_for_one_command

    serve_for_one_command(socket.socket(fileno=int(sys.argv[1])))


def _end_with_command() -> None:
    """Ends this process, in a hurry if need be, once nobody has the other end of standard input."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_FAREWELL_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()
