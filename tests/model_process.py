"""A model server as a process of its own, with a port for users, one for copies and one for copied requests."""

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.ports import free_ports

_NONE: Mapping[str, str] = MappingProxyType({})
REPOSITORY = Path(__file__).resolve().parents[1]
RECORD = json.dumps({"dataframe_records": [{"distance": 1400.0, "hour": 5, "carrier": "UA"}]})


# The program itself, but for the time that callers have to come back once it leaves.
_WITH_FAREWELL = """
import sys
from deployments.serving import graceful_server
from deployments.serving.__main__ import main
graceful_server._FAREWELL_SECONDS = float(sys.argv[1])
sys.exit(main(sys.argv[2:]))
"""


class ServerProcess:
    """Serves the model of flights in `folder`, at `ports` if they are given; ready once it is made.

    `farewell`: seconds for which it still takes callers on once it was told to leave; None is what it does by itself.
    """

    def __init__(
        self, folder: Path, version: int = 3, ports: list[int] | None = None, farewell: float | None = None
    ) -> None:
        self.ports = ports or free_ports(3)
        self.users, self.copies, self.paired = self.ports
        flags = ["--port", self.users, "--copies-port", self.copies, "--paired-port", self.paired]
        options = ["--model", folder, "--product", "flights", "--version", version, *flags]
        program = ["-m", "deployments.serving"] if farewell is None else ["-c", _WITH_FAREWELL, str(farewell)]
        command = [sys.executable, *program, *map(str, options)]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.wait_until_it_says("ready")

    def wait_until_it_says(self, event: str) -> None:
        """Read what it says as far as that."""
        assert self.process.stdout is not None
        while json.loads(self.process.stdout.readline())["event"] != event:
            assert self.process.poll() is None

    def connected(self, port: int) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, port: int, times: int = 1) -> list[int]:
        """The codes of so many requests, over one connection."""
        with contextlib.closing(self.connected(port)) as connection:
            return [ask(connection).status for _ in range(times)]

    def counts(self) -> Any:
        """What it tells of itself."""
        return self.told("/seatrial/counts")[1]

    def told(self, path: str, headers: Mapping[str, str] = _NONE, port: int | None = None) -> tuple[int, Any]:
        """Code and content of its answer to GET; by the port for copies unless another one is named."""
        with contextlib.closing(self.connected(port or self.copies)) as connection:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def kill(self) -> None:
        """At once."""
        self.process.kill()
        self.process.communicate()


def ask(
    connection: http.client.HTTPConnection, headers: Mapping[str, str] = _NONE, path: str = "/invocations"
) -> http.client.HTTPResponse:
    """A prediction, read to its end."""
    connection.request("POST", path, RECORD, {"x-request-id": "a", **headers})
    response = connection.getresponse()
    response.read()
    return response
