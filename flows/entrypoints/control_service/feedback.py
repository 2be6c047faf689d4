"""`POST /seatrial/feedback`: what comes by HTTP, and what is answered to it.

A web page cannot send anything unless its origin is listed: a browser says of whom it speaks, and asks first before it
sends one of the content types that are taken.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from math import ceil
from typing import Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from deployments.clock import Clock
from deployments.errors import DiskFull, SeatrialError
from deployments.metrics.feedback.admission import Admission, Admitted, NotAdmitted, Sender
from deployments.metrics.feedback.formats import TAKEN, kind_of
from deployments.metrics.feedback.parsing import BadFeedback, read_feedback
from deployments.metrics.feedback.pending_by_user import NoRoomToWait
from deployments.metrics.feedback.store import FeedbackLedger
from deployments.routers.envoy.headers import SENDER_HEADER
from deployments.serving.request_body import body_within
from flows.entrypoints.control_service.access import public
from flows.entrypoints.program_log import say

MAX_BODY_BYTES: Final = 1024 * 1024
PATH: Final = "/seatrial/feedback"
_SLOWEST_BODY_SECONDS: Final = 10.0
# Of requests whose bodies are in memory.
_MOST_AT_ONCE: Final = 32
# Whoever asks at the socket itself.
LOCALHOST: Final = "127.0.0.1"
_SECONDS_TO_REMEMBER: Final = "600"
_WITH_PORT: Final = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?")
_NOTHING: Final[Mapping[str, str]] = {}


def routes(
    open_ledger: Callable[[], FeedbackLedger],
    open_admission: Callable[[], Admission],
    clock: Clock,
    origins: Sequence[str] = (),
    *,
    behind_gateway: bool = True,
) -> list[BaseRoute]:
    """The endpoint. Its first request opens the ledger, so that the database may come up later than this.

    Unless it is `behind_gateway` of this machine, nobody counts as local. Pages of `origins` may send from a browser.
    """
    endpoint = _Feedback(open_ledger, open_admission, clock, frozenset(origins), behind_gateway)
    why = "it asks for the product's key, or a sender on this machine"
    return [public(PATH, endpoint.answer, methods=["POST", "OPTIONS"], why=why)]


class _Feedback:
    def __init__(
        self,
        open_ledger: Callable[[], FeedbackLedger],
        open_admission: Callable[[], Admission],
        clock: Clock,
        origins: frozenset[str],
        behind_gateway: bool,
    ) -> None:
        self._open_ledger, self._open_admission, self._clock = open_ledger, open_admission, clock
        self._origins, self._behind_gateway = origins, behind_gateway
        self._ledger: FeedbackLedger | None = None
        self._admission: Admission | None = None
        self._turn, self._opening = threading.Lock(), threading.Lock()
        self._under_way = 0

    async def answer(self, request: Request) -> Response:
        """What a browser may know of it is said to those that asked for a page of a listed origin."""
        origin = request.headers.get("origin")
        if (origin is not None or "sec-fetch-site" in request.headers) and origin not in self._origins:
            message = "web pages may not send feedback, but for those in SEATRIAL_FEEDBACK_ORIGINS"
            return _told(403, {"error": message}, {"vary": "Origin"})
        if request.method == "OPTIONS":
            return _preflight(origin)
        response = await self._push(request)
        if origin is not None:
            response.headers.update({"access-control-allow-origin": origin, "vary": "Origin"})
        return response

    async def _push(self, request: Request) -> Response:
        given = request.headers.getlist("content-type")
        kind = kind_of(given[0]) if len(given) == 1 else None
        if kind is None:
            return _told(415, {"error": f"send one of these content types: {', '.join(TAKEN)}"})
        if self._under_way >= _MOST_AT_ONCE:
            return _told(503, {"error": "much feedback comes right now: send it again later"}, _come_again())
        self._under_way += 1
        try:
            return await self._taken(request, kind)
        except SeatrialError as error:
            return _refusal(error)
        finally:
            self._under_way -= 1

    async def _taken(self, request: Request, kind: str) -> Response:
        sender = _sender(request, self._behind_gateway)
        admission = await run_in_threadpool(self._opened)
        admission.spend(f"requests from {sender.address}", 1)
        try:
            async with asyncio.timeout(_SLOWEST_BODY_SECONDS):
                body = await body_within(dict(request.scope["headers"]), request.receive, MAX_BODY_BYTES)
        except TimeoutError:
            message = f"the body took longer than {_SLOWEST_BODY_SECONDS:g} s: send it in parts"
            return _told(408, {"error": message}, {"connection": "close"})
        except ClientDisconnect:
            return _told(400, {"error": "the body has no end"})
        if body is None:
            return _told(413, {"error": f"the request is larger than {MAX_BODY_BYTES} bytes: send it in parts"})
        stored, admitted = await run_in_threadpool(self._store, body, kind, sender)
        told: dict[str, object] = {"stored": stored, "refused": admitted.refused}
        if admitted.problems:
            told["problems"] = [{"at": place, "error": problem} for place, problem in admitted.problems]
        if admitted.outside:
            told["outside"] = admitted.outside
        return _told(202, told)

    def _opened(self) -> Admission:
        with self._opening:
            self._admission = self._admission or self._open_admission()
            return self._admission

    def _store(self, body: bytes, kind: str, sender: Sender) -> tuple[int, Admitted]:
        admission = self._opened()
        items = read_feedback(body, self._clock.now(), kind, admission.within)
        admitted = admission.admit(items, sender)
        with self._turn:  # fairer than SQLite, whose waiting writers ask again and again
            self._ledger = self._ledger or self._open_ledger()
            stored = self._ledger.store(admitted.items)
        admission.stored(admitted)
        return stored, admitted


def _sender(request: Request, behind_gateway: bool) -> Sender:
    """As the gateway of this machine says; or as one in a cluster does, at the end of the list: all before is hearsay.

    Whoever passes something on for others, from this machine, is not local: then the list has more than one address.
    """
    told = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    addresses = [address.strip() for address in told if address.strip()]
    peer = request.client.host if request.client else ""
    address = addresses[-1] if addresses else peer
    if behind_gateway:
        address = request.headers.get(SENDER_HEADER, LOCALHOST)
    is_local = behind_gateway and len(addresses) <= 1 and _is_loopback(address)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip().encode() if scheme.lower() == "bearer" and token.strip() else None
    return Sender(_network(address), is_local, given)


def _is_loopback(address: str) -> bool:
    found = _address(address)
    return found is not None and found.is_loopback


def _network(address: str) -> str:
    """Whose rate counts: of IPv6 the network, for whoever has an address there has 2^64."""
    found = _address(address)
    if found is None:
        return "nobody knows"
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """None for what is none. Some proxies write the port behind it, some write IPv4 in the form of IPv6."""
    if (bracketed := _WITH_PORT.fullmatch(text)) is not None:
        text = bracketed["v6"] or bracketed["v4"]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _preflight(origin: str | None) -> Response:
    if origin is None:
        return _told(405, {"error": "feedback is sent by POST"}, {"allow": "POST"})
    headers = {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-max-age": _SECONDS_TO_REMEMBER,
        "vary": "Origin",
    }
    return Response(b"", 204, headers)


def _refusal(error: SeatrialError) -> Response:
    match error:
        case NotAdmitted():
            return _not_admitted(error)
        case BadFeedback():
            problems = [{"at": place, "error": problem} for place, problem in error.problems]
            more = {"more": error.more} if error.more else {}
            return _told(422, {"error": "nothing was stored", "problems": problems, **more})
        case NoRoomToWait():
            message = f"nothing was stored: too much feedback by key waits for the log of {error.product}"
            return _told(429, {"error": message}, _come_again(error.delay))
    say(f"feedback was not stored: {error}")
    status = 507 if isinstance(error, DiskFull) else 503
    return _told(status, {"error": "nothing was stored: send it again later"}, _come_again())


def _not_admitted(error: NotAdmitted) -> Response:
    headers = _come_again(error.delay) if error.delay else {}
    if error.status == 401:
        headers = {"www-authenticate": "Bearer"}
    told: dict[str, object] = {"error": f"nothing was stored: {error}"}
    if error.place:
        told = {"error": "nothing was stored", "problems": [{"at": error.place, "error": str(error)}]}
    return _told(error.status, told, headers)


def _come_again(after: timedelta | None = None) -> dict[str, str]:
    seconds = 1 if after is None else max(1, ceil(after.total_seconds()))
    return {"retry-after": str(seconds)}


def _told(status: int, content: object, headers: Mapping[str, str] = _NOTHING) -> Response:
    return Response(orjson.dumps(content), status, dict(headers), media_type="application/json")
