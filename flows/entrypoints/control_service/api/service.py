"""The API over HTTP: routes from the table, parameters, bodies, problems, ETags, and requests that are sent again."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from math import ceil
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from deployments.access_control.principal import Principal
from deployments.access_control.roles import Permission
from deployments.errors import BadInput, Busy, NotFound, SeatrialError
from deployments.metrics.feedback.rate_limit import Rates
from deployments.rollout.operator_commands import Verb
from deployments.serving.request_body import body_within
from deployments.webhooks.requests import NotTaken
from deployments.webhooks.strict_json import parse_object
from flows.entrypoints.control_service.access import guarded
from flows.entrypoints.control_service.api.changes import CannotNow, Changes
from flows.entrypoints.control_service.api.idempotency import HEADER, Answer, Answers, Begun, Known, is_key, mark_of
from flows.entrypoints.control_service.api.looks import Asked, BadQuery, Looks
from flows.entrypoints.control_service.api.openapi import PRODUCT, ROLLOUT, description
from flows.entrypoints.control_service.api.operations import OPERATIONS, ROOT, Operation
from flows.entrypoints.control_service.api.paging import BadPage
from flows.entrypoints.control_service.api.reference_page import HEADERS, reference_page
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.evidence_process import EvidenceProcess
from flows.entrypoints.control_service.problems import problem
from flows.entrypoints.program_log import say

LONGEST_BODY: Final = 16 * 1024
SLOWEST_BODY_SECONDS: Final = 10.0
REPLAYED: Final = "idempotency-replayed"
_KIND: Final = "application/json"
_PARTS: Final = {"product": re.compile(PRODUCT), "rollout": re.compile(ROLLOUT)}


def routes(context: Context, evidence: EvidenceProcess) -> list[BaseRoute]:
    """Every operation, the description of them all, and that as a page."""
    api = _Api(context, evidence)
    described = description()
    document, page = orjson.dumps(described), reference_page(described)

    def describe(_: Request) -> Response:
        return Response(document, media_type=_KIND)

    def show(_: Request) -> Response:
        return HTMLResponse(page, headers=dict(HEADERS))

    return [
        *(
            guarded(
                f"{ROOT}{each.path}",
                partial(api.answer, each),
                methods=[each.method],
                permission=each.permission,
                product=each.product,
            )
            for each in OPERATIONS
        ),
        guarded(f"{ROOT}/openapi.json", describe, permission=Permission.VIEW, product=None),
        guarded(f"{ROOT}/", show, permission=Permission.VIEW, product=None),
    ]


class _Refused(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.response = problem(status, detail, headers)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A change that is asked for. `mark` is what a repetition of the request has, too; empty where it has no key."""

    product: str
    who: str
    raw: bytes
    body: BaseModel
    mark: str


class _Api:
    def __init__(self, context: Context, evidence: EvidenceProcess) -> None:
        self._clock = context.clock
        self._looks, self._changes = Looks(context, evidence), Changes(context)
        self._rates = Rates(context.settings.api_rate, context.clock)
        self._answers: Callable[[], Answers] = cache(lambda: Answers(context.settings.feedback_database))

    async def answer(self, operation: Operation, request: Request) -> Response:
        """One request."""
        principal: Principal = request.state.principal
        if (pause := self._rates.take(principal.who, 1)) is not None:
            later = {"retry-after": str(max(1, ceil(pause.total_seconds())))}
            return problem(
                429, f"{principal.who} asks more often in a minute than SEATRIAL_API_RATE allows: ask later", later
            )
        try:
            path = _path_of(request)
            query = _query_of(operation, request)
            if operation.body is None:
                return await run_in_threadpool(self._told, operation, Asked(principal, path, query), request)
            wanted = await _wanted(operation, operation.body, path["product"], request)
            return await run_in_threadpool(self._once, operation, wanted)
        except _Refused as refused:
            return refused.response
        except (BadPage, BadQuery) as error:
            return problem(400, str(error))
        except SeatrialError as error:
            return _problem_of(operation, error)

    def _told(self, operation: Operation, asked: Asked, request: Request) -> Response:
        content = orjson.dumps(self._looks.tell(operation.id, asked))
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"etag": etag, "cache-control": "private, no-cache", "vary": "Authorization, Cookie"}
        if _knows(request, etag):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=_KIND, headers=headers)

    def _once(self, operation: Operation, wanted: _Wanted) -> Response:
        if not wanted.mark:
            return _accepted(orjson.dumps(self._do(operation, wanted, None)), operation.status)
        answers = self._answers()
        begun = answers.begin(wanted.mark, wanted.raw, self._clock.now())
        if isinstance(begun, Answer):
            return _accepted(begun.content.encode(), begun.status, {REPLAYED: "true"})
        if begun.known is Known.OTHER:
            raise _Refused(422, "this Idempotency-Key was used for another request: choose a new one")
        if begun.known is Known.AT_WORK:
            raise _Refused(409, "a request with this Idempotency-Key is under way: ask again", {"retry-after": "1"})
        try:
            content = orjson.dumps(self._do(operation, wanted, begun))
            answers.answered(wanted.mark, Answer(operation.status, content.decode()))
        except BadInput:
            with suppress(SeatrialError):
                answers.give_up(wanted.mark)
            raise
        except BaseException:
            with suppress(SeatrialError):
                answers.set_aside(wanted.mark)
            raise
        return _accepted(content, operation.status)

    def _do(self, operation: Operation, wanted: _Wanted, begun: Begun | None) -> dict[str, Any]:
        if operation.id in set(Verb):
            return self._changes.order(Verb(operation.id), wanted.product, wanted.body, wanted.who, begun)
        return self._changes.run(operation.id, wanted.product, wanted.body, wanted.who, begun)


def _path_of(request: Request) -> Mapping[str, str]:
    """The parts of the path. What can be no name of anything here is not looked for anywhere."""
    path = {name: str(value) for name, value in request.path_params.items()}
    for name, value in path.items():
        if _PARTS[name].fullmatch(value) is None:
            raise _Refused(404, f"{value[:80]!r} is no name of a {name}")
    return path


def _query_of(operation: Operation, request: Request) -> Mapping[str, str]:
    """The parameters, each once."""
    given = request.query_params.multi_items()
    known = {str(each["name"]) for each in operation.query}
    for name, _ in given:
        if name not in known:
            takes = f"it takes {' and '.join(sorted(known))}" if known else "it takes none"
            raise _Refused(400, f"{operation.id} has no parameter {name[:80]!r}: {takes}")
    query = dict(given)
    if len(query) != len(given):
        raise _Refused(400, "a parameter stands there twice: give it once")
    return query


async def _wanted(operation: Operation, body: type[BaseModel], product: str, request: Request) -> _Wanted:
    keys = request.headers.getlist(HEADER)
    if len(keys) > 1 or (keys and not is_key(keys[0])):
        raise _Refused(
            400, "the header Idempotency-Key stands there once, with up to 128 printable signs without spaces"
        )
    raw = await _body(request)
    who = request.state.principal.who
    mark = mark_of(who, operation.id, product, keys[0]) if keys else ""
    return _Wanted(product, who, raw, _parsed(body, raw), mark)


async def _body(request: Request) -> bytes:
    kinds = request.headers.getlist("content-type")
    if len(kinds) > 1 or (kinds and kinds[0].partition(";")[0].strip().lower() != _KIND):
        raise _Refused(415, f"send the body as {_KIND}")
    try:
        async with asyncio.timeout(SLOWEST_BODY_SECONDS):
            body = await body_within(dict(request.scope["headers"]), request.receive, LONGEST_BODY)
    except TimeoutError:
        slow = f"the body took longer than {SLOWEST_BODY_SECONDS:g} s"
        raise _Refused(408, slow, {"connection": "close"}) from None
    except ClientDisconnect:
        raise _Refused(400, "the body has no end", {"connection": "close"}) from None
    if body is None:
        raise _Refused(413, f"the body is larger than {LONGEST_BODY} bytes", {"connection": "close"})
    if body and not kinds:
        raise _Refused(415, f"say that the body is {_KIND}")
    return body


def _parsed(body: type[BaseModel], raw: bytes) -> BaseModel:
    try:
        return body.model_validate(parse_object(raw) if raw else {})
    except NotTaken as error:
        raise _Refused(error.status, str(error)) from None
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in error.errors())
        raise _Refused(422, told) from None


def _knows(request: Request, etag: str) -> bool:
    """Whether the client has this answer (RFC 9110, If-None-Match, compared weakly)."""
    told = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return etag in told or told == ["*"]


def _problem_of(operation: Operation, error: SeatrialError) -> Response:
    for kind, status in ((NotFound, 404), (CannotNow, 409), (Busy, 409), (BadInput, 422)):
        if isinstance(error, kind):
            return problem(status, str(error))
    say(f"the API cannot answer {operation.id}: {error}")
    return problem(503, str(error), {"retry-after": "5"})


def _accepted(content: bytes, status: int, headers: Mapping[str, str] | None = None) -> Response:
    told = {"cache-control": "no-store"} | dict(headers or {})
    return Response(content, status, media_type=_KIND, headers=told)
