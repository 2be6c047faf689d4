"""The control service: what users tell Seatrial over HTTP. It starts nothing and decides nothing.

`POST /seatrial/feedback` reaches it through the gateway; it listens on a Unix socket of this user alone, or, in a
cluster, on a TCP port. What it answers 202 to is on the disk. Beside that it looks up which answers feedback by key is
about, and keeps the gateway's log of users small. It must stay light: no Prefect, no MLflow, no scikit-learn, and
pyarrow only once somebody sends feedback by key.
"""

import argparse
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.clock import Clock, SystemClock
from deployments.errors import DiskFull, SeatrialError
from deployments.inference_logs import Log
from deployments.metrics.feedback import FeedbackLedger
from deployments.metrics.pushed import BadFeedback, read_feedback
from deployments.metrics.written import JSON
from deployments.platform.gateway import keep_user_log_small
from deployments.platform.services import control_socket
from deployments.printable import in_one_line
from deployments.private import keep_to_oneself
from deployments.proxies import heed_proxies
from deployments.serving.bodies import body_within
from deployments.serving.sockets import tcp_listener, unix_listener
from deployments.settings import Settings, current
from deployments.wiring import inference_log_of

MAX_BODY_BYTES = 1024 * 1024
_LONGEST_GOODBYE_SECONDS = 10
_LOOK_EVERY = timedelta(seconds=5)
_TRIM_EVERY = timedelta(minutes=1)


def make_app(open_ledger: Callable[[], FeedbackLedger], clock: Clock) -> Starlette:
    """The ASGI application. The first request opens the ledger, so that its database may come up later than this."""
    endpoint = _Feedback(open_ledger, clock)
    return Starlette(
        routes=[
            Route("/seatrial/feedback", endpoint.push, methods=["POST"]),
            Route("/health", _health),
        ]
    )


class _Feedback:
    def __init__(self, open_ledger: Callable[[], FeedbackLedger], clock: Clock) -> None:
        self._open_ledger, self._clock = open_ledger, clock
        self._ledger: FeedbackLedger | None = None
        self._turn = threading.Lock()

    async def push(self, request: Request) -> Response:
        body = await body_within(dict(request.scope["headers"]), request.receive, MAX_BODY_BYTES)
        if body is None:
            return _told(413, {"error": f"the request is larger than {MAX_BODY_BYTES} bytes: send it in parts"})
        try:
            stored = await run_in_threadpool(self._store, body, request.headers.get("content-type", JSON))
        except BadFeedback as error:
            problems = [{"at": place, "error": problem} for place, problem in error.problems]
            return _told(422, {"error": "nothing was stored", "problems": problems})
        except SeatrialError as error:
            _say(f"feedback was not stored: {error}")
            return _told(
                507 if isinstance(error, DiskFull) else 503, {"error": "nothing was stored: send it again later"}
            )
        return _told(202, {"stored": stored})

    def _store(self, body: bytes, content_type: str) -> int:
        items = read_feedback(body, self._clock.now(), content_type)
        with self._turn:  # fairer than SQLite, whose waiting writers ask again and again
            self._ledger = self._ledger or self._open_ledger()
            return self._ledger.store(items)


class Settler:
    """Looks up which answers feedback by key is about; what goes wrong is said once, and tried again."""

    def __init__(self, open_ledger: Callable[[], FeedbackLedger], log_of: Callable[[str], Log], clock: Clock) -> None:
        self._open_ledger, self._log_of, self._clock = open_ledger, log_of, clock
        self._ledger: FeedbackLedger | None = None
        self._complaints: dict[str, str] = {}

    def run_for_ever(self) -> None:
        """Every 5 s a look."""
        while True:
            self._clock.sleep(_LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """Settles what it is time for; one product's log does not keep another one waiting."""
        products: Sequence[str] = ()
        with self._saying_once("its database"):
            products = self._opened().waiting(self._clock.now())
        for product in products:
            with self._saying_once(product):
                self._settle(product)

    def _opened(self) -> FeedbackLedger:
        self._ledger = self._ledger or self._open_ledger()
        return self._ledger

    def _settle(self, product: str) -> None:
        for lost in self._opened().settle(product, self._log_of(product), self._clock.now()):
            _say(f"{product}: nobody with that key was answered in time, a value of {lost.metric} is dropped")

    @contextmanager
    def _saying_once(self, what: str) -> Iterator[None]:
        try:
            yield
            self._complaints.pop(what, None)
        except Exception as error:  # noqa: BLE001 - the edge of a thread: a log may lie anywhere, with any errors
            # Others' messages may hold what an address must not tell.
            complaint = str(error) if isinstance(error, SeatrialError) else type(error).__name__
            if self._complaints.get(what) != complaint:
                _say(f"feedback by key waits for {what}: {complaint}")
            self._complaints[what] = complaint


def keep_users_small(settings: Settings, clock: Clock) -> None:
    """Every minute a look at the gateway's log of users, whether a rollout reads it or not."""
    said = ""
    while True:
        clock.sleep(_TRIM_EVERY)
        try:
            keep_user_log_small(settings, clock)
            said = ""
        except (SeatrialError, OSError) as error:
            complaint = str(error) if isinstance(error, SeatrialError) else type(error).__name__
            if complaint != said:
                _say(f"the gateway's log of users is not kept small: {complaint}")
            said = complaint


def _say(what: str) -> None:
    print(in_one_line(what), flush=True)  # noqa: T201 - the program's log


async def _health(_: Request) -> Response:
    return _told(200, {"ready": True})


def _told(status: int, content: object) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m flows.entrypoints.control`: what supervisord and a cluster run; serves until SIGTERM."""
    keep_to_oneself()
    heed_proxies()
    options, settings = _parse(arguments), current()
    clock = SystemClock()

    def open_ledger() -> FeedbackLedger:
        return FeedbackLedger(settings.feedback_database)

    settler = Settler(open_ledger, inference_log_of, clock)
    threading.Thread(target=settler.run_for_ever, name="settler", daemon=True).start()
    threading.Thread(target=keep_users_small, args=(settings, clock), name="trimmer", daemon=True).start()
    app = make_app(open_ledger, clock)
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_LONGEST_GOODBYE_SECONDS,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn passes the signal on when it has finished
    with _listener(options, settings) as listener:
        uvicorn.Server(config).run(sockets=[listener])


def _listener(options: argparse.Namespace, settings: Settings) -> AbstractContextManager[socket.socket]:
    if options.port is None:
        return unix_listener(control_socket(settings))
    return tcp_listener(options.host, options.port)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.entrypoints.control", description="Takes feedback.")
    parser.add_argument("--port", type=int, help="TCP port to listen on, instead of the platform's Unix socket")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on with --port")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
