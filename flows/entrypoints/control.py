"""The control service: what users tell Seatrial over HTTP. It starts nothing and decides nothing.

`POST /seatrial/feedback` reaches it through the gateway; it listens on a Unix socket of this user alone. What it
answers 202 to is on the disk. It must stay light: no Prefect, no MLflow, no scikit-learn.
"""

import signal
import sys
import threading
from collections.abc import Callable

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.errors import DiskFull, SeatrialError
from deployments.metrics.feedback import FeedbackLedger
from deployments.metrics.pushed import BadFeedback, read_feedback
from deployments.platform.services import control_socket
from deployments.serving.bodies import body_within
from deployments.serving.sockets import unix_listener
from deployments.settings import Settings

MAX_BODY_BYTES = 1024 * 1024
_LONGEST_GOODBYE_SECONDS = 10


def make_app(open_ledger: Callable[[], FeedbackLedger]) -> Starlette:
    """The ASGI application. The first request opens the ledger, so that its database may come up later than this."""
    endpoint = _Feedback(open_ledger)
    return Starlette(
        routes=[
            Route("/seatrial/feedback", endpoint.push, methods=["POST"]),
            Route("/health", _health),
        ]
    )


class _Feedback:
    def __init__(self, open_ledger: Callable[[], FeedbackLedger]) -> None:
        self._open_ledger = open_ledger
        self._ledger: FeedbackLedger | None = None
        self._turn = threading.Lock()

    async def push(self, request: Request) -> Response:
        body = await body_within(dict(request.scope["headers"]), request.receive, MAX_BODY_BYTES)
        if body is None:
            return _told(413, {"error": f"the request is larger than {MAX_BODY_BYTES} bytes: send it in parts"})
        try:
            stored = await run_in_threadpool(self._store, body)
        except BadFeedback as error:
            problems = [{"at": place, "error": problem} for place, problem in error.problems]
            return _told(422, {"error": "nothing was stored", "problems": problems})
        except SeatrialError as error:
            print(f"feedback was not stored: {error}", flush=True)  # noqa: T201 - the program's log
            return _told(
                507 if isinstance(error, DiskFull) else 503, {"error": "nothing was stored: send it again later"}
            )
        return _told(202, {"stored": stored})

    def _store(self, body: bytes) -> int:
        items = read_feedback(body)
        with self._turn:  # fairer than SQLite, whose waiting writers ask again and again
            self._ledger = self._ledger or self._open_ledger()
            return self._ledger.store(items)


async def _health(_: Request) -> Response:
    return _told(200, {"ready": True})


def _told(status: int, content: object) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def main() -> None:
    """`python -m flows.entrypoints.control`: what supervisord runs; serves until SIGTERM."""
    settings = Settings()
    app = make_app(lambda: FeedbackLedger(settings.journal_database))
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
    with unix_listener(control_socket(settings)) as listener:
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
