"""The HTTP skin of the model server: paths, codes, sizes; the answers come from `answers`."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deployments.clock import Clock, SystemClock
from deployments.serving.answers import answers_of, main_answer
from deployments.serving.bodies import body_within
from deployments.serving.docs_page import docs_page
from deployments.serving.envelope import Envelope, predicts, request_id_of
from deployments.serving.events import complain
from deployments.serving.limits import Limits
from deployments.serving.metrics import ServerMetrics
from deployments.serving.mlflow_dialect import MlflowDialect
from deployments.serving.model import Model, NotFinite
from deployments.serving.oip_dialect import OipDialect, describe_model, describe_server
from deployments.serving.openapi import openapi
from deployments.serving.predicted import Predicted, predicted
from deployments.serving.query import Dialect, Written
from deployments.serving.recent import RecentAnswers
from deployments.serving.schema import Unanswerable

# Bigger requests are answered beside the event loop, so that health checks do not wait for them.
_QUICK_BYTES = 32_768


@dataclass(slots=True)
class Service:
    """A loaded, warm model and how it is served; what it counts began with `epoch`. `draining` changes once."""

    model: Model
    version: str
    limits: Limits = field(default_factory=Limits)
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    predictions: Counter[str] = field(default_factory=Counter)
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    clock: Clock = field(default_factory=SystemClock)
    draining: bool = False


def make_app(service: Service) -> Envelope:
    """The ASGI application that serves `service`."""
    endpoints = _Endpoints(service)
    model = "/v2/models/{name}"
    routes = [
        Route("/invocations", endpoints.invoke, methods=["POST"]),
        *_both(model, "/infer", endpoints.infer, "POST"),
        *_both(model, "/ready", endpoints.model_ready, "GET"),
        *_both(model, "", endpoints.describe, "GET"),
        Route("/v2/health/live", endpoints.live),
        Route("/v2/health/ready", endpoints.ready),
        Route("/v2", endpoints.server),
        Route("/openapi.json", endpoints.openapi),
        Route("/docs", endpoints.docs),
        Route("/ping", endpoints.ready),
        Route("/health", endpoints.ready),
        Route("/version", endpoints.version),
        Route("/metrics", endpoints.metrics),
        Route("/seatrial/counts", endpoints.counts),
        Route("/seatrial/answers", endpoints.answers),
    ]
    handlers = {
        HTTPException: endpoints.wrong_path,
        Unanswerable: endpoints.unanswerable,
        NotFinite: endpoints.not_finite,
        Exception: endpoints.failed,
    }
    application = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    application.router.redirect_slashes = False
    return Envelope(application, service)


class _Endpoints:
    def __init__(self, service: Service) -> None:
        self._service = service
        description = service.model.description
        self._name = description.product
        self._mlflow = MlflowDialect(description, service.limits)
        self._oip = OipDialect(description, service.version, service.limits)
        described = openapi(description, service.version, service.limits)
        self._openapi = orjson.dumps(described)
        self._docs = docs_page(description, service.version, described)
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")

    async def invoke(self, request: Request) -> Response:
        return await self._answered(request, self._mlflow)

    async def infer(self, request: Request) -> Response:
        self._check_name(request)
        return await self._answered(request, self._oip)

    async def describe(self, request: Request) -> Response:
        self._check_name(request)
        return _json(200, describe_model(self._service.model.description, self._service.version))

    async def openapi(self, _: Request) -> Response:
        return Response(self._openapi, media_type="application/json")

    async def docs(self, _: Request) -> Response:
        headers, body = self._docs
        return _response(200, headers, body)

    async def model_ready(self, request: Request) -> Response:
        self._check_name(request)
        ready = not self._service.draining
        return _json(200 if ready else 503, {"name": self._name, "ready": ready})

    async def ready(self, _: Request) -> Response:
        ready = not self._service.draining
        return _json(200 if ready else 503, {"ready": ready})

    async def live(self, _: Request) -> Response:
        return _json(200, {"live": True})

    async def server(self, _: Request) -> Response:
        return _json(200, describe_server())

    async def version(self, _: Request) -> Response:
        return PlainTextResponse(self._service.version)

    async def metrics(self, _: Request) -> Response:
        return PlainTextResponse(self._service.metrics.as_text(), media_type="text/plain; version=0.0.4")

    async def counts(self, request: Request) -> Response:
        _refuse_outsiders(request)
        return _json(200, {"epoch": self._service.epoch, "predictions": self._service.predictions})

    async def answers(self, request: Request) -> Response:
        _refuse_outsiders(request)
        recent = self._service.recent
        answers, dropped = recent.after(_number_of(request, "after", 0), _number_of(request, "limit", 1000))
        told = [[each.number, each.request_id, each.mirrored, each.predicted] for each in answers]
        return _json(200, {"epoch": self._service.epoch, "last": recent.last, "answers": told, "dropped": dropped})

    async def not_finite(self, request: Request, _: Exception) -> Response:
        self._service.metrics.not_finite += 1
        complain("prediction not finite", request_id=request_id_of(request.scope))
        return self._refused(request, 500, "the model's prediction is not a finite number")

    async def unanswerable(self, request: Request, error: Unanswerable) -> Response:
        return self._refused(request, error.status, str(error))

    async def failed(self, request: Request, _: Exception) -> Response:
        return self._refused(request, 500, "the server failed on this request: its log says where")

    async def wrong_path(self, request: Request, error: HTTPException) -> Response:
        message = f"{error.detail}: predictions are asked by POST at /invocations"
        response = self._refused(request, error.status_code, message)
        response.headers.update(error.headers or {})
        return response

    def _refused(self, request: Request, status: int, message: str) -> Response:
        dialect: Dialect = self._mlflow if request.scope["path"] == "/invocations" else self._oip
        body = dialect.refuse(status, message, request_id_of(request.scope))
        return Response(body, status, media_type="application/json")

    def _check_name(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version", self._service.version)
        if (name, version) != (self._name, self._service.version):
            raise Unanswerable(404, f"this server has version {self._service.version} of {self._name!r} and no other")

    async def _answered(self, request: Request, dialect: Dialect) -> Response:
        service, request_id = self._service, request_id_of(request.scope)
        headers, body = dict(request.scope["headers"]), await _body_of(request, service.limits.body_bytes)

        def work() -> tuple[int, Predicted, Written]:
            query = dialect.read(headers, body)
            answers = answers_of(service.model, query)
            what = predicted(main_answer(answers), service.model.description.classes)
            return query.batch.rows, what, dialect.write(query, answers, request_id)

        if len(body) <= _QUICK_BYTES and b"content-encoding" not in headers:
            rows, what, written = work()
        else:
            rows, what, written = await asyncio.get_running_loop().run_in_executor(self._beside, work)
        service.metrics.rows += rows
        predicts(request.scope, what)
        return _response(200, *written)


def _both(model: str, ending: str, endpoint: Callable[[Request], object], method: str) -> list[Route]:
    """The path of a model, with and without its version."""
    return [Route(f"{model}{middle}{ending}", endpoint, methods=[method]) for middle in ("", "/versions/{version}")]


def _refuse_outsiders(request: Request) -> None:
    """What one user was told is nobody else's business; only the gateway sets this header."""
    if "x-forwarded-proto" in request.headers:
        raise HTTPException(404)


def _number_of(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, str(default))
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise Unanswerable(422, f"`{name}` must be a number of at least 0")
    return int(given)


async def _body_of(request: Request, limit: int) -> bytes:
    body = await body_within(request, limit)
    if body is None:
        raise Unanswerable(413, f"the request is larger than {limit} bytes: send its rows in parts")
    return body


def _response(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Response:
    response = Response(body, status)
    response.raw_headers.extend(headers)
    return response


def _json(status: int, content: object) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
