"""What every answer gets, whatever it says: who answered, the request's id, a count; and a log line for a surprise."""

import re
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.clock import Clock
from deployments.serving.events import complain, place_of
from deployments.serving.metrics import ServerMetrics
from deployments.serving.model import Model
from deployments.serving.predicted import Predicted
from deployments.serving.recent import RecentAnswers

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_PAIRED, _MIRRORED = b"x-seatrial-paired", b"x-seatrial-mirrored"
_FLAGS = frozenset({_PAIRED, _MIRRORED})
_CLIENT_GONE = 499


class Enveloped(Protocol):
    """What the envelope needs to know of a service."""

    model: Model
    version: str
    metrics: ServerMetrics
    predictions: Counter[str]
    recent: RecentAnswers
    clock: Clock
    draining: bool


@dataclass(frozen=True, slots=True)
class _Caller:
    """What the request's headers say: its id, if they give one, and what the gateway does with the answer."""

    request_id: str | None = None
    paired: bool = False
    mirrored: bool = False


class Envelope:
    """ASGI application around another one."""

    def __init__(self, inner: ASGIApp, service: Enveloped) -> None:
        self._inner = inner
        self._service = service
        self._identity = [
            (b"x-seatrial-product", service.model.description.product.encode()),
            (b"x-seatrial-version", service.version.encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        caller = _caller_of(scope)
        request_id = scope["seatrial.request_id"] = caller.request_id or uuid.uuid4().hex
        counted = scope["path"] == "/invocations" or scope["path"].endswith("/infer")
        metrics, clock, started = self._service.metrics, self._service.clock, self._service.clock.monotonic()
        code = 0

        async def send_enveloped(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                message["headers"] = [*message["headers"], *self._headers(request_id)]
            await send(message)

        metrics.in_flight += counted
        try:
            await self._inner(scope, receive, send_enveloped)
        except ClientDisconnect:
            code = _CLIENT_GONE
        except Exception as error:  # noqa: BLE001 - the edge of the process: the inner application has sent a plain 500
            complain("request failed", request_id=request_id, error=place_of(error))
        finally:
            metrics.in_flight -= counted
            if counted:
                metrics.answered(code or _CLIENT_GONE, clock.monotonic() - started)
                self._count(caller, code, scope.get("seatrial.predicted"))

    def _count(self, caller: _Caller, code: int, predicted: Predicted | None) -> None:
        """What was predicted for a user; and, for whoever compares two versions, what either of them made of it."""
        if predicted is not None and not caller.mirrored:
            self._service.predictions.update(predicted.bins)
        if caller.request_id and (caller.paired or caller.mirrored) and code not in {0, _CLIENT_GONE}:
            self._service.recent.keep(caller.request_id, caller.mirrored, predicted.kept if predicted else None)

    def _headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        headers = [*self._identity, (b"x-request-id", request_id.encode())]
        if self._service.draining:
            # The caller opens its next connection elsewhere, instead of losing a race with our exit.
            headers.append((b"connection", b"close"))
        return headers


def request_id_of(scope: Scope) -> str:
    """The id that the caller gave to a request, or that the envelope made."""
    request_id: str = scope["seatrial.request_id"]
    return request_id


def predicts(scope: Scope, predicted: Predicted) -> None:
    """Tells the envelope what the answer to a request predicts."""
    scope["seatrial.predicted"] = predicted


def _caller_of(scope: Scope) -> _Caller:
    request_id, flags = None, set()
    for name, value in scope["headers"]:
        if name == b"x-request-id" and request_id is None and _REQUEST_ID.fullmatch(value):
            request_id = value.decode()
        elif value == b"1" and name in _FLAGS:
            flags.add(name)
    return _Caller(request_id, _PAIRED in flags, _MIRRORED in flags)
