"""The routes of the API, and what each operation does."""

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from deployments import wiring
from deployments.access_control.principal import Principal
from deployments.access_control.roles import Permission
from deployments.errors import BadInput, Busy, NotFound, SeatrialError
from deployments.journals.protocol import Event
from deployments.metrics.feedback.rate_limit import Rates
from deployments.plurals import counted
from deployments.prefect_api import release_deployment
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import RolloutState
from deployments.rollout.wait_conditions import waiting
from deployments.routers.protocol import Router
from deployments.serving.request_body import body_within
from deployments.webhooks.requests import NotTaken
from deployments.webhooks.strict_json import parse_object
from flows.entrypoints.control_service.access import guarded
from flows.entrypoints.control_service.api.idempotency import HEADER, Answer, Answers, Begun, Known, is_key, mark_of
from flows.entrypoints.control_service.api.openapi import description
from flows.entrypoints.control_service.api.operations import OPERATIONS, ROOT, Operation
from flows.entrypoints.control_service.api.paging import BadPage, page_of
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.evidence_process import EvidenceProcess
from flows.entrypoints.control_service.problems import problem
from flows.entrypoints.program_log import say
from flows.reports.history import event_report
from flows.reports.products import product_report, products_report, specs_by_product
from flows.reports.progress import plan_of, progress_report
from flows.reports.rollout import state_report
from flows.reports.schedules import schedules_report
from tasks.rollout_engine.command_submission import give_order

_LONGEST_BODY: Final = 16 * 1024
_SLOWEST_BODY_SECONDS: Final = 10.0
CURRENT: Final = "current"
_KIND: Final = "application/json"


def routes(context: Context, evidence: EvidenceProcess) -> list[BaseRoute]:
    """Every operation, and the description of them all."""
    api = _Api(context, evidence)
    described = orjson.dumps(description())

    def describe(_: Request) -> Response:
        return Response(described, media_type=_KIND)

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
    ]


class _Refused(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.response = problem(status, detail, headers)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an operation is asked: by whom, of what, with what."""

    request: Request
    principal: Principal
    product: str
    body: BaseModel | None = None
    begun: Begun | None = None


class _Api:
    def __init__(self, context: Context, evidence: EvidenceProcess) -> None:
        self._context, self._evidence = context, evidence
        self._looks: Mapping[str, Callable[[_Asked], Any]] = {
            "products": self._products,
            "product": self._product,
            "rollouts": self._rollouts,
            "rollout": self._rollout,
            "evidence": self._judged,
            "replay": self._replayed,
            "history": self._history,
            "under_way": self._under_way,
            "schedules": self._schedules,
        }
        self._rates = Rates(context.settings.api_rate, context.clock)
        self._answers: Callable[[], Answers] = cache(lambda: Answers(context.settings.feedback_database))

    async def answer(self, operation: Operation, request: Request) -> Response:
        """One request."""
        principal: Principal = request.state.principal
        if (pause := self._rates.take(principal.who, 1)) is not None:
            later = {"retry-after": str(max(1, round(pause.total_seconds())))}
            return problem(429, f"{principal.who} asks more often in a minute than SEATRIAL_API_RATE", later)
        try:
            if operation.method == "GET":
                return await run_in_threadpool(self._told, operation, request, principal)
            return await self._done(operation, request, principal)
        except _Refused as refused:
            return refused.response
        except BadPage as error:
            return problem(400, str(error))
        except SeatrialError as error:
            return _problem_of(operation, error)

    def _told(self, operation: Operation, request: Request, principal: Principal) -> Response:
        if not operation.pages and request.url.query:
            raise BadPage(f"{operation.id} takes no parameters")
        asked = _Asked(request, principal, str(request.path_params.get("product", "")))
        content = orjson.dumps(self._looks[operation.id](asked))
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"etag": etag, "cache-control": "private, no-cache"}
        if etag in {each.strip() for each in request.headers.get("if-none-match", "").split(",")}:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=_KIND, headers=headers)

    async def _done(self, operation: Operation, request: Request, principal: Principal) -> Response:
        raw = await _body(request)
        body = None if operation.body is None else _parsed(operation.body, raw)
        product = str(request.path_params["product"])
        keys = request.headers.getlist(HEADER)
        if len(keys) > 1 or (keys and not is_key(keys[0])):
            raise _Refused(400, "Idempotency-Key is up to 128 printable signs without spaces, once")
        mark = mark_of(principal.who, operation.id, product, keys[0]) if keys else ""
        return await run_in_threadpool(self._once, operation, _Asked(request, principal, product, body), mark, raw)

    def _once(self, operation: Operation, asked: _Asked, mark: str, raw: bytes) -> Response:
        if not mark:
            return _accepted(self._do(operation, asked), operation)
        begun = self._answers().begin(mark, raw, self._context.clock.now())
        if isinstance(begun, Answer):
            return _accepted(begun.content.encode(), operation, {"idempotency-replayed": "true"})
        if begun.known is Known.OTHER:
            raise _Refused(422, "this Idempotency-Key was used for another request: choose a new one")
        if begun.known is Known.AT_WORK:
            raise _Refused(409, "a request with this Idempotency-Key is under way", {"retry-after": "2"})
        try:
            content = self._do(operation, replace(asked, begun=begun))
        except BadInput:
            with suppress(SeatrialError):
                self._answers().give_up(mark)
            raise
        self._answers().answered(mark, Answer(operation.status, content.decode()))
        return _accepted(content, operation)

    def _do(self, operation: Operation, asked: _Asked) -> bytes:
        order = operation.id in set(Verb)
        return orjson.dumps(self._order(Verb(operation.id), asked) if order else self._run(operation.id, asked))

    # What each operation does, by its name in the table.

    def _products(self, asked: _Asked) -> Any:
        with wiring.one_look() if self._context.behind_gateway else nullcontext():
            found = products_report(self._context.open_journal(), router_of, self._context.settings.specs_folder)
        seen = [each for each in found if asked.principal.may(Permission.VIEW, each["product"])]
        return page_of(asked.request.query_params, seen, lambda each: str(each["product"]), lambda each: each)

    def _product(self, asked: _Asked) -> Any:
        newest = next(iter(self._context.open_journal().rollouts(asked.product)), None)
        described = specs_by_product(self._context.settings.specs_folder).get(asked.product)
        if newest is None and described is None:
            raise NotFound(f"nothing is known of {asked.product!r}: `seatrial status` names what is known")
        return product_report(asked.product, newest, router_of, described)

    def _rollouts(self, asked: _Asked) -> Any:
        found = self._context.open_journal().rollouts(asked.product)
        return page_of(asked.request.query_params, found, lambda each: each.rollout_id, state_report)

    def _rollout(self, asked: _Asked) -> Any:
        state = self._found(asked)
        wait = waiting(state)
        return state_report(state) | {
            "plan": plan_of(state),
            "progress": progress_report(state, self._context.open_journal()),
            "sentence": wait.sentence(self._context.clock.now()) if wait else "",
        }

    def _judged(self, asked: _Asked) -> Any:
        return self._evidence.explanation(asked.product, self._found(asked).rollout_id)

    def _replayed(self, asked: _Asked) -> Any:
        return self._evidence.replay(asked.product, self._found(asked).rollout_id)

    def _history(self, asked: _Asked) -> Any:
        events = self._context.open_journal().events(asked.product)
        numbered = list(enumerate(events))[::-1]
        return page_of(asked.request.query_params, numbered, lambda each: str(each[0]), _shown_event)

    def _under_way(self, asked: _Asked) -> Any:
        found = [
            state
            for state in self._context.open_journal().under_way()
            if asked.principal.may(Permission.VIEW, state.product)
        ]
        return page_of(asked.request.query_params, found, lambda each: each.rollout_id, state_report)

    def _schedules(self, asked: _Asked) -> Any:
        found = schedules_report(self._context.open_prefect())
        return {name: facts for name, facts in found.items() if asked.principal.may(Permission.VIEW, name)}

    def _order(self, verb: Verb, asked: _Asked) -> Any:
        journal, who, reason = self._context.open_journal(), asked.principal.who, getattr(asked.body, "reason", "")
        if asked.begun is not None and asked.begun.known is Known.AGAIN:
            for state in journal.rollouts(asked.product)[:1]:
                for order in journal.orders(state.rollout_id):
                    if (order.verb, order.who, order.reason) == (verb, who, reason) and order.at >= asked.begun.first:
                        return _ordered(state, order.number, verb)
        order, state = give_order(asked.product, verb, who, reason, journal, self._context.clock)
        return _ordered(state, order.number, verb)

    def _run(self, name: str, asked: _Asked) -> Any:
        spec = specs_by_product(self._context.settings.specs_folder).get(asked.product)
        if spec is None:
            raise NotFound(f"there is no spec of {asked.product} in {self._context.settings.specs_folder.name}/")
        given = {} if asked.body is None else asked.body.model_dump(mode="json", exclude_none=True)
        deployment = release_deployment(asked.product) if name == "release" else f"{name}/{name}"
        key = asked.begun.mark if asked.begun else uuid.uuid4().hex
        parameters = {"request": {"product": spec.called, **given}}
        prefect = self._context.open_prefect()  # everybody's: it is not closed
        run = prefect.start_run(deployment, parameters, f"api-{key}", ("api",), asked.principal.who)
        return {"product": asked.product, "run": str(run.id), "name": run.name, "deployment": deployment}

    def _found(self, asked: _Asked) -> RolloutState:
        known = self._context.open_journal().rollouts(asked.product)
        wanted = str(asked.request.path_params["rollout"])
        if wanted == CURRENT:
            found = [state for state in known if state.live][:1] or list(known[:1])
        else:
            found = [state for state in known if state.rollout_id.startswith(wanted)]
        if len(found) != 1:
            number = counted(len(found), "rollout")
            raise NotFound(f"{asked.product} has {number} whose id begins with {wanted!r}: `current` is the newest")
        return found[0]


def router_of(state: RolloutState) -> Router:
    """Whoever splits the traffic of a rollout's product, for looking only."""
    return wiring.read_only_doors_of(state.section).router


def _problem_of(operation: Operation, error: SeatrialError) -> Response:
    for kind, status in ((NotFound, 404), (Busy, 409), (BadInput, 422)):
        if isinstance(error, kind):
            return problem(status, str(error))
    say(f"the API cannot answer {operation.id}: {error}")
    return problem(503, str(error), {"retry-after": "5"})


def _ordered(state: RolloutState, number: int, verb: Verb) -> dict[str, Any]:
    return {"product": state.product, "rollout": state.rollout_id, "order": number, "verb": verb.value}


def _shown_event(numbered: tuple[int, Event]) -> dict[str, Any]:
    return event_report(numbered[1])


def _accepted(content: bytes, operation: Operation, headers: Mapping[str, str] | None = None) -> Response:
    told = {"cache-control": "no-store"} | dict(headers or {})
    return Response(content, operation.status, media_type=_KIND, headers=told)


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", _KIND).partition(";")[0].strip().lower()
    if kind != _KIND:
        raise _Refused(415, f"send the body as {_KIND}")
    try:
        async with asyncio.timeout(_SLOWEST_BODY_SECONDS):
            body = await body_within(dict(request.scope["headers"]), request.receive, _LONGEST_BODY)
    except TimeoutError:
        raise _Refused(408, "the body has no end", {"connection": "close"}) from None
    except ClientDisconnect:
        raise _Refused(400, "the body has no end", {"connection": "close"}) from None
    if body is None:
        raise _Refused(413, f"a body has at most {_LONGEST_BODY} bytes", {"connection": "close"})
    return body


def _parsed(body: type[BaseModel], raw: bytes) -> BaseModel:
    try:
        return body.model_validate(parse_object(raw) if raw.strip() else {})
    except NotTaken as error:
        raise _Refused(error.status, str(error)) from None
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in error.errors())
        raise _Refused(422, told) from None
