"""A real Envoy, and how to talk to it."""

import contextlib
import http.client
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from deployments.clock import SystemClock
from deployments.errors import RouterUnreachable
from deployments.routers.envoy import EnvoyRouter, Patience, prepare
from tests.ports import free_port

ENOUGH = timedelta(seconds=10)
IMPATIENT = Patience(ready=timedelta(seconds=0.6), drain=timedelta(seconds=3))
WORKERS = 4
NOTHING: Mapping[str, str] = {}

Sent = Callable[[int], Mapping[str, str]]


def nothing(_number: int) -> Mapping[str, str]:
    return NOTHING


def headers_sent(keys: Sent, headers: Mapping[str, str], cookies: Sent) -> Sent:
    """All headers of a request, its cookies among them."""

    def sent(number: int) -> Mapping[str, str]:
        crumbs = "; ".join(f"{name}={value}" for name, value in cookies(number).items())
        return {**headers, **keys(number), **({"cookie": crumbs} if crumbs else {})}

    return sent


class Gateway:
    """A real Envoy on a free port, with its files in a short folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run_folder, self.log = folder / "gateway", folder, folder / "envoy.log"
        self.port = free_port()
        self.public: int | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def router(self, patience: Patience = IMPATIENT) -> EnvoyRouter:
        return EnvoyRouter(self.folder, self.run_folder, SystemClock(), self.log, patience)

    def start(self) -> None:
        public = None if self.public is None else ("127.0.0.1", self.public)
        command = prepare(self.folder, self.run_folder, "127.0.0.1", self.port, public=public)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(lambda: get(self.port, "/seatrial/health")[0] == 200)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None


def eventually(claim: Callable[[], bool], within: timedelta = ENOUGH) -> None:
    deadline = time.monotonic() + within.total_seconds()
    while True:
        with contextlib.suppress(OSError, RouterUnreachable):
            if claim():
                return
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.01)


def get(port: int, path: str, body: bytes | None = None, headers: Mapping[str, str] = NOTHING) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST" if body is not None else "GET", path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ask(
    port: int,
    product: str,
    count: int,
    headers: Sent = nothing,
    *,
    host: str = "127.0.0.1",
    path: str = "invocations",
) -> list[int]:
    """Versions that answered, in order; a failure is its negative code, and -1 is a connection that broke."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    answers = []
    for number in range(count):
        try:
            connection.request("POST", f"/{product}/{path}", b"{}", dict(headers(number)))
            response = connection.getresponse()
            body = response.read()
            answers.append(int(body) if response.status == 200 else -response.status)
        except (OSError, http.client.HTTPException):
            connection.close()
            answers.append(-1)
    connection.close()
    return answers


@contextlib.contextmanager
def constant_load(port: int, product: str) -> Iterator[list[int]]:
    """Requests without a pause from several clients while the block runs; the list is complete after it."""
    answers: list[int] = []
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            answers.extend(ask(port, product, 20))

    with ThreadPoolExecutor(WORKERS) as pool:
        clients = [pool.submit(client) for _ in range(WORKERS)]
        try:
            yield answers
        finally:
            over.set()
        for each in clients:
            each.result(30)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
