"""A real model server in a process of its own, watched from outside."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from deployments.serving.startup.socket_handover import tcp_listener
from deployments.supervision import UnixConnection
from tests.model_folder import verification_of

REPOSITORY = Path(__file__).resolve().parents[2]
_MIB = 1024 * 1024


class Served:
    """A server of the model in `folder`; `path` is its Unix socket, and everything that it says is in `log`."""

    def __init__(self, folder: Path, path: Path, log: Path, product: str = "flights", version: int = 3) -> None:
        self.folder, self.path, self.log = folder, path, log
        self.product, self.version = product, version
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Returns once it answers."""
        before = self.path.stat().st_ino if self.path.exists() else None
        self._run("--uds", str(self.path), *options)
        while not self.path.exists() or self.path.stat().st_ino == before:
            assert self.lives, self.said()
            time.sleep(0.02)
        with contextlib.closing(self.connection()) as connection:
            connection.request("GET", "/v2/health/live")
            assert connection.getresponse().status == 200

    def _run(self, *options: str) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command(*options), cwd=REPOSITORY, stdout=log, stderr=log)

    def _command(self, *options: str) -> list[str]:
        model = ["--model", str(self.folder), "--product", self.product, "--version", str(self.version)]
        return [sys.executable, "-m", "deployments.serving", *model, *options]

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    @property
    def memory_mib(self) -> float:
        """Resident now."""
        return float(psutil.Process(self.process.pid).memory_info().rss / _MIB)

    @property
    def peak_mib(self) -> float:
        """The most that ever was resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024

    @property
    def descriptors(self) -> int:
        """Open files and sockets."""
        return int(psutil.Process(self.process.pid).num_fds())

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """However it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def connection(self, timeout: float = 20) -> UnixConnection:
        return UnixConnection(self.path, timeout)

    def socket(self, timeout: float = 20) -> socket.socket:
        """A connection whose words are all ours."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(timeout)
        client.connect(str(self.path))
        return client

    def answers_rightly(self) -> bool:
        """Whether the verification rows get the predictions that the estimator itself gave them."""
        body, expected = verification_of(self.folder)
        with contextlib.closing(self.connection()) as connection:
            response = posted(connection, "/invocations", body)
            return response.status == 200 and json.loads(response.content)["predictions"] == expected


class Answer:
    """An answer, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.content = response.read()
        self.status = response.status
        self.headers = response.headers


def posted(connection: http.client.HTTPConnection, path: str, body: bytes, **headers: str) -> Answer:
    """The answer to a POST; `headers` with underscores for hyphens, JSON unless they say otherwise."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, {"content-type": "application/json"} | named)
    return Answer(connection.getresponse())


@contextlib.contextmanager
def serving(folder: Path, *options: str, **named: Any) -> Iterator[Served]:
    """A server for the length of a block; it must live to its end."""
    with short_folder() as place:
        served = Served(folder, place / "s", place / "log", **named)
        try:
            served.start(*options)
            yield served
        finally:
            served.end()


@contextlib.contextmanager
def serving_on_port(folder: Path, *options: str, **named: Any) -> Iterator["OnPort"]:
    """The same for whoever speaks no Unix sockets."""
    with short_folder() as place:
        served = OnPort(folder, place / "s", place / "log", **named)
        try:
            served.start(*options)
            yield served
        finally:
            served.end()


class OnPort(Served):
    """A server that listens on a TCP port of the loopback interface."""

    port = 0

    def start(self, *options: str) -> None:
        with tcp_listener("127.0.0.1", 0) as free:
            self.port = free.getsockname()[1]
        self._run("--port", str(self.port), *options)
        while '"ready"' not in self.said():
            assert self.lives, self.said()
            time.sleep(0.05)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """The path of a Unix socket may not be long."""
    place = Path(tempfile.mkdtemp(prefix="h-", dir="/tmp"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def seconds_of(usual: float) -> float:
    """How long a test goes on: `usual`, or the minutes that the environment says, for `make test-hostile`."""
    minutes = os.environ.get("HOSTILE_MINUTES")
    return float(minutes) * 60 if minutes else usual
