"""The server's front: every request comes in here. Predictions are answered here, all else by the application behind.

This is the hot path, so no framework takes part: a dialect reads and writes the bytes, the model answers.
"""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.caller_authentication import GATEWAY_HEADER, RUN_HEADER
from deployments.serving.codecs.content_decoding import JSON, unpacks_beyond
from deployments.serving.data_plane import guarded_answers_of, main_answer
from deployments.serving.inference_log import Logged
from deployments.serving.inference_request import Answers, Dialect, Query, Written
from deployments.serving.input_validation import Unanswerable
from deployments.serving.latency_estimate import Pace
from deployments.serving.loaded_model import NotFinite
from deployments.serving.memory_budget import SMALL_BYTES, Room, rows_take
from deployments.serving.mirror_headers import MIRRORED, PAIRED
from deployments.serving.predict_handler import ANSWERING, CLIENT_LEFT, TOO_LONG, Call
from deployments.serving.prometheus_metrics import CLIENT_GONE, bucket_of
from deployments.serving.request_body import body_within
from deployments.serving.row_batch import Batch
from deployments.serving.server_log import log_failure, place_of
from deployments.serving.server_state import Service

# Bigger requests are answered beside the event loop if they take long, so that health checks do not wait for them.
_QUICK_BYTES: Final = 32_768
# Beyond, not even then: what is made of a large one takes memory, and of those only so many are begun as there is room.
_LARGEST_AT_ONCE: Final = 262_144
# Of small bodies that wait for their turn as rows, which may take twenty times as much; others wait as they came.
_WAITING_BYTES: Final = 524_288
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_PREVIEW: Final = b"x-seatrial-version"
_COME_AGAIN: Final = (b"retry-after", b"1")
Said = tuple[Mapping[str, float], tuple[str | float, ...] | None]
_HANG_UP: Final = (b"connection", b"close")
_GATEWAY, _RUN = GATEWAY_HEADER.encode(), RUN_HEADER.encode()


class Front:
    """ASGI application around another one."""

    def __init__(self, behind: ASGIApp, service: Service, dialects: Mapping[str, Dialect]) -> None:
        """`dialects` by the paths at which predictions are asked for; `behind` answers every other request."""
        self._behind = behind
        self._service = service
        self._dialects = dialects
        self._marks, self._admitted = service.marks, service.admitted
        self._beside = service.beside
        self._pace = Pace()
        self._preview = f"/versions/{service.version}/infer"
        self._room = Room()
        self._waiting_bytes = 0
        self._identity = [
            (b"x-seatrial-product", service.model.description.product.encode()),
            (b"x-seatrial-version", service.version.encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        headers = dict(scope["headers"])
        aside = self._marked_aside(headers, scope["server"][1]) if self._marks else False
        given = headers.get(b"x-request-id", b"")
        named = _REQUEST_ID.fullmatch(given) is not None
        request_id = given.decode() if named else os.urandom(16).hex()
        dialect = self._dialects.get(scope["path"]) if scope["method"] == "POST" else None
        if dialect is None:
            await self._pass_on(request_id, scope, receive, send)
        elif aside is None:
            await self._turn_away(dialect, request_id, send)
        else:
            mirrored = headers.get(MIRRORED) == b"1"
            # Who chose the version can say nothing of it that versions are compared by.
            aside = aside or _PREVIEW in headers or scope["path"].endswith(self._preview)
            key = None if mirrored or aside else self._service.keys.key_of(headers)
            call = Call(dialect, headers, request_id, named, mirrored, self._service.clock.monotonic(), key)
            call.aside = aside
            call.given_out = self._given_out(call)
            await self._predict(call, scope.get(ANSWERING, set()), receive, send)

    def _given_out(self, call: Call) -> str:
        sealer = self._service.sealer
        if sealer is None or call.mirrored or call.aside:
            return call.request_id
        return sealer.sealed(call.request_id, call.key, call.since)

    def _marked_aside(self, headers: dict[bytes, bytes], port: int) -> bool | None:
        """Where ports say what a request is, its headers do so from here on, whatever callers wrote into them.

        Whether it is asked aside; None for a copy of which nobody knows who sent it. A user is answered in any case.
        """
        headers.pop(MIRRORED, None)
        headers.pop(PAIRED, None)
        mark = self._marks.get(port)
        if mark is None or _PREVIEW in headers:
            return _PREVIEW in headers
        if self._admitted.is_gateway(headers.get(_GATEWAY)):
            headers[mark] = b"1"
        elif mark == MIRRORED:
            return True if self._admitted.is_run(headers.get(_RUN)) else None
        return False

    async def _turn_away(self, dialect: Dialect, request_id: str, send: Send) -> None:
        body = dialect.refuse(403, "this port takes copies from the gateway, and questions of runs", request_id)
        length = (b"content-length", b"%d" % len(body))
        headers = [(b"content-type", JSON), length, _HANG_UP, *self._common(request_id)]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _predict(self, call: Call, waited_for: "set[asyncio.Task[Any]]", receive: Receive, send: Send) -> None:
        service, task = self._service, cast("asyncio.Task[Any]", asyncio.current_task())
        service.asked[task] = call
        waited_for.add(task)
        if service.remains is not None:
            service.remains.begin(call)
        # Until it is known better: whatever is not foreseen here is a failure of ours.
        status, query, answers, said = 500, None, None, None
        try:
            try:
                query, answers, (headers, body) = await self._answered(call, receive)
                service.metrics.rows += query.batch.rows
                service.unknown.count(query.batch, call.since)
                code = 200
                if call.body_bytes > SMALL_BYTES:
                    # Who takes his answer slowly does not keep the rows of his question.
                    said = self._said(call, answers)
                    self._record(call, query.batch, answers, service.clock.monotonic())
                    query = answers = None
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the edge of the process
                if _client_has_gone(call, error):
                    status = CLIENT_GONE
                    return
                code, headers, body = self._refusal(call, error)
            waited_for.discard(task)
            await send({"type": "http.response.start", "status": code, "headers": self._headers(call, headers, body)})
            await send({"type": "http.response.body", "body": body})
            status = code
        finally:
            waited_for.discard(task)
            service.asked.pop(task, None)
            if not call.held:
                self._give_back(call)
            if service.remains is not None:
                service.remains.end(call)
            ended = service.clock.monotonic()
            if answers is not None and status != CLIENT_GONE:
                said = self._said(call, answers)
            self._count(call, status, said, ended - call.since)
            if status == 200 and query is not None and answers is not None:
                self._record(call, query.batch, answers, ended)
            if service.spans is not None:
                now = service.clock.now().timestamp()
                service.spans.answered(call.headers, call.request_id, status, (now - (ended - call.since), now))

    async def _answered(self, call: Call, receive: Receive) -> tuple[Query, Answers, Written]:
        limits, model = self._service.limits, self._service.model
        if len(self._service.asked) > limits.in_flight:
            raise Unanswerable(503, f"{limits.in_flight} requests are being answered already: come again in a second")
        # Whoever came at the same time is counted before the first one is answered.
        await asyncio.sleep(0)
        body = await body_within(call.headers, receive, limits.body_bytes, partial(self._take, call))
        if body is None:
            raise Unanswerable(413, f"the request is larger than {limits.body_bytes} bytes: send its rows in parts")
        call.read = True
        call.body_bytes = size = self._size_of(call, body)
        at_once = model.quick is not None and model.quick.at_once
        if size > _QUICK_BYTES:
            return await self._large(call, body, at_once)
        if at_once:
            return self._worked_out(call, body)
        if self._waiting_bytes + size > _WAITING_BYTES:
            return await self._beside.run(partial(self._worked_out, call, body))
        self._waiting_bytes += size
        try:
            query = call.dialect.read(call.headers, body)
            answers = await self._beside.answers(query)
        finally:
            self._waiting_bytes -= size
        return query, answers, call.dialect.write(query, answers, call.given_out)

    def _size_of(self, call: Call, body: bytes) -> int:
        if b"content-encoding" in call.headers and unpacks_beyond(call.headers, body, _QUICK_BYTES):
            return self._service.limits.body_bytes
        return len(body)

    async def _large(self, call: Call, body: bytes, at_once: bool) -> tuple[Query, Answers, Written]:
        size = call.body_bytes
        if at_once and size <= _LARGEST_AT_ONCE and self._pace.is_quick(size):
            return self._pace.timed(size, lambda: self._worked_out(call, body))
        if size <= SMALL_BYTES:
            return await self._beside.run(partial(self._pace.timed, size, lambda: self._worked_out(call, body)))

        def work(tell: Callable[[int], None]) -> tuple[Query, Answers, Written]:
            return self._pace.timed(size, lambda: self._worked_out(call, body, tell))

        call.held = True
        return await self._beside.run_large(work, partial(self._give_back, call))

    def _give_back(self, call: Call) -> None:
        self._room.give_back(call.taken_bytes)
        call.taken_bytes = 0

    def _take(self, call: Call, size: int) -> bool:
        if not self._room.take(size):
            return False
        call.taken_bytes += size
        return True

    def _worked_out(
        self, call: Call, body: bytes, tell: Callable[[int], None] | None = None
    ) -> tuple[Query, Answers, Written]:
        query = call.dialect.read(call.headers, body)
        if tell is not None:
            # Of what was made to read it nothing is left.
            tell(rows_take(query.batch, len(body)))
        answers = guarded_answers_of(self._service.model, query)
        return query, answers, call.dialect.write(query, answers, call.given_out)

    def _refusal(self, call: Call, error: BaseException) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Code, headers and body of the answer to a request that `error` ended. Raises a cancellation not by time."""
        headers = [(b"content-type", JSON)]
        match error:
            case Unanswerable(status=status):
                message = str(error)
            case NotFinite():
                status, message = 500, "the model's prediction is not a finite number"
                self._service.metrics.not_finite += 1
                log_failure("prediction not finite", **call.names)
            case asyncio.CancelledError(args=(reason, *_)) if reason == TOO_LONG:
                status = 503 if call.read else 408
                message = f"{TOO_LONG}: it was given {self._service.limits.time.total_seconds():g} s"
                headers.append(_HANG_UP)
            case Exception():
                status, message = 500, "the server failed on this request: its log says where"
                log_failure("request failed", error=place_of(error), **call.names)
            case _:
                raise error
        if status == 503:
            headers.append(_COME_AGAIN)
        if status < 500:
            call.given_out = call.request_id  # it was no version's fault
        return status, headers, call.dialect.refuse(status, message, call.given_out)

    def _headers(self, call: Call, own: list[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
        length = (b"content-length", b"%d" % len(body))
        return [*own, length, *self._common(call.given_out)]

    def _common(self, request_id: str) -> list[tuple[bytes, bytes]]:
        headers = [*self._identity, (b"x-request-id", request_id.encode())]
        if self._service.draining:
            # The caller opens its next connection elsewhere, instead of losing a race with our exit.
            headers.append(_HANG_UP)
        return headers

    def _said(self, call: Call, answers: Answers) -> Said:
        """What is counted of an answer: shares of labels or bins, and labels or numbers for whoever compares."""
        rows, bins = main_answer(answers), self._service.bins
        return {} if call.mirrored or call.aside else bins.shares(rows), bins.kept(rows) if _is_compared(call) else None

    def _record(self, call: Call, batch: Batch, answers: Answers, ended: float) -> None:
        log = self._service.log
        if log is not None:
            log.record(self._logged(call, batch, answers, ended))

    def _count(self, call: Call, status: int, said: Said | None, seconds: float) -> None:
        """What became of it, and what was predicted; for whoever compares two versions, what either made of it."""
        service = self._service
        kind = service.kind_of(call)
        if status == CLIENT_GONE:
            # Who does not finish asking was not let down by anybody.
            if call.read:
                kind.give_up(seconds, call.late)
                self._keep_keyed(call, status, seconds, {})
            else:
                kind.add(status, seconds)
            return
        kind.add(status, seconds, call.late)
        shares, kept = said or ({}, None)
        for counted in (service.predictions,) if call.key is None else (service.predictions, service.keyed_predictions):
            for name, share in shares.items():
                counted[name] = counted.get(name, 0.0) + share
        self._keep_keyed(call, status, seconds, shares)
        if _is_compared(call):
            service.recent.keep(call.request_id, call.mirrored, kept)

    def _keep_keyed(self, call: Call, status: int, seconds: float, shares: Mapping[str, float]) -> None:
        if call.key is not None:
            bucket, gone = bucket_of(seconds), status == CLIENT_GONE
            answered, given_up = (None, bucket) if gone else (bucket, None)
            self._service.keyed.keep(call.request_id, call.key, status >= 500, answered, given_up, shares)

    def _logged(self, call: Call, batch: Batch, answers: Answers, ended: float) -> Logged:
        headers = call.headers
        return Logged(
            call.request_id,
            headers.get(self._service.keys.header),
            call.mirrored or call.aside,
            headers.get(PAIRED) == b"1",
            batch,
            main_answer(answers),
            ended,
            ended - call.since,
            None if b"content-encoding" in headers else call.body_bytes,
        )

    async def _pass_on(self, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        scope["seatrial.request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._common(request_id)]
            await send(message)

        try:
            await self._behind(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - the edge of the process: the application has sent a plain 500
            log_failure("request failed", request_id=request_id, error=place_of(error))


def _is_compared(call: Call) -> bool:
    return call.named and not call.aside and (call.mirrored or call.headers.get(PAIRED) == b"1")


def _client_has_gone(call: Call, error: BaseException) -> bool:
    """Whether there is nobody to be answered; a model may raise what it likes."""
    match error:
        case asyncio.CancelledError(args=(reason, *_)):
            return bool(reason == CLIENT_LEFT)
        case ClientDisconnect():
            return not call.read
    return False


def request_id_of(scope: Scope) -> str:
    """The id that the caller gave to a request which was passed on, or that the front made."""
    request_id: str = scope["seatrial.request_id"]
    return request_id
