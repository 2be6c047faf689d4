"""`POST /seatrial/webhooks/SOURCE/PRODUCT`: a signed delivery, answered 202 once it is on the disk.

No web page sends one, and no query changes one. What is refused says why; what is genuine and asks for nothing here,
or was accepted before, is answered 200.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from math import ceil
from typing import Final

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from deployments.clock import Clock
from deployments.errors import SeatrialError
from deployments.metrics.feedback.rate_limit import Rates
from deployments.plurals import counted
from deployments.serving.request_body import body_within
from deployments.webhooks.group_commit import GroupCommit
from deployments.webhooks.hooks import Hooks
from deployments.webhooks.inbox import Kept
from deployments.webhooks.receipt import receive
from deployments.webhooks.requests import Headers, Nothing, NotTaken
from flows.entrypoints.control_service.access import public
from flows.entrypoints.program_log import say

PATH: Final = "/seatrial/webhooks/{source}/{product}"
MAX_BODY_BYTES: Final = 1024 * 1024
# Of all bodies that are in memory.
_MOST_BYTES: Final = 8 * MAX_BODY_BYTES
_SLOWEST_BODY_SECONDS: Final = 10.0
# What says who sent it must stand there once.
_ONCE: Final = ("webhook-", "x-mlflow-", "x-github-", "x-hub-", "content-")
_SAY_EVERY: Final = timedelta(minutes=1)


def routes(hooks: Hooks, commit: GroupCommit, rates: Rates, clock: Clock) -> list[BaseRoute]:
    """The endpoint; `rates` are of accepted deliveries, by webhook."""
    answer = _Endpoint(hooks, commit, rates, clock).answer
    return [public(PATH, answer, methods=["POST"], why="each delivery is signed with the webhook's key")]


class _Endpoint:
    def __init__(self, hooks: Hooks, commit: GroupCommit, rates: Rates, clock: Clock) -> None:
        self._hooks, self._commit, self._rates, self._clock = hooks, commit, rates, clock
        self._bytes = 0
        self._refusals = _Refusals(clock)

    async def answer(self, request: Request) -> Response:
        """One delivery."""
        source, product = request.path_params["source"], request.path_params["product"]
        try:
            return await self._answer(request, source, product)
        except NotTaken as error:
            self._refusals.say(source, product, error)
            closes = {"connection": "close"} if error.status in {408, 413} else {}
            return _told(error.status, {"error": str(error)}, closes)
        except ClientDisconnect:
            return _told(400, {"error": "the body has no end"})
        except SeatrialError as error:
            say(f"a delivery was not stored: {error}")
            return _told(503, {"error": "nothing was stored: send it again later"}, {"retry-after": "1"})

    async def _answer(self, request: Request, source: str, product: str) -> Response:
        headers = _checked_headers(request)
        announced = int(headers["content-length"])
        if self._bytes + announced > _MOST_BYTES:
            return _told(503, {"error": "more deliveries come at once than can be taken"}, {"retry-after": "1"})
        self._bytes += announced
        try:
            delivery = receive(self._hooks, source, product, headers, await _body(request), self._clock.now())
        finally:
            self._bytes -= announced
        if isinstance(delivery, Nothing):
            return _told(200, {"accepted": False, "why": delivery.why})
        if (pause := self._rates.take(f"{source} {product}", 1)) is not None:
            later = {"retry-after": str(max(1, ceil(pause.total_seconds())))}
            return _told(429, {"error": "this webhook sends more a minute than SEATRIAL_WEBHOOK_RATE"}, later)
        match await asyncio.wrap_future(self._commit.put(delivery)):
            case Kept.NEW:
                content = {"accepted": True, "delivery": delivery.delivery, "action": delivery.wish.action}
                return _told(202, content)
            case Kept.KNOWN:
                return _told(200, {"accepted": False, "why": "it was accepted before"})
            case Kept.NO_ROOM:
                message = f"so many deliveries for {product} wait that no more are taken now"
                return _told(503, {"error": message}, {"retry-after": "60"})


class _Refusals:
    """Says what is refused, at most once a minute for each webhook: whoever floods writes no log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said_at: dict[tuple[str, str], float] = {}
        self._unsaid: Counter[tuple[str, str]] = Counter()

    def say(self, source: str, product: str, error: NotTaken) -> None:
        """Of a webhook that there is."""
        about, now = (source, product), self._clock.monotonic()
        if error.status == 404:
            return
        if now - self._said_at.get(about, -_SAY_EVERY.total_seconds()) < _SAY_EVERY.total_seconds():
            self._unsaid[about] += 1
            return
        more = self._unsaid.pop(about, 0)
        self._said_at[about] = now
        beside = f" (and {counted(more, 'other')} since then)" if more else ""
        say(f"a delivery of {source} for {product} was refused: {error}{beside}")


def _checked_headers(request: Request) -> Headers:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        if name in headers and name.startswith(_ONCE):
            raise NotTaken(400, f"the header {name} stands there twice")
        headers[name] = value
    if "origin" in headers or "sec-fetch-site" in headers:
        raise NotTaken(403, "web pages may not send webhooks")
    if request.url.query:
        raise NotTaken(400, "an address of webhooks has no query")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise NotTaken(415, "send application/json (GitHub: choose it as the content type of the webhook)")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise NotTaken(411, "say the length of the body in the header content-length")
    if len(length) > 9 or int(length) > MAX_BODY_BYTES:
        raise NotTaken(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return headers


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(_SLOWEST_BODY_SECONDS):
            body = await body_within(dict(request.scope["headers"]), request.receive, MAX_BODY_BYTES, lambda _: True)
    except TimeoutError:
        raise NotTaken(408, f"the body took longer than {_SLOWEST_BODY_SECONDS:g} s") from None
    if body is None:
        raise NotTaken(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    if len(body) != int(request.headers["content-length"]):
        raise NotTaken(400, "the body has another length than the header content-length says")
    return body


_NOTHING: Final[Mapping[str, str]] = {}


def _told(status: int, content: object, headers: Mapping[str, str] = _NOTHING) -> Response:
    return Response(orjson.dumps(content), status, dict(headers), media_type="application/json")
