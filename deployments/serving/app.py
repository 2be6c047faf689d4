"""The HTTP skin of the model server: paths, codes, sizes; the answers come from `answers`."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deployments.clock import Clock, SystemClock
from deployments.serving.answers import Answer, answer_inference, answer_invocation, describe_model
from deployments.serving.bodies import body_within
from deployments.serving.envelope import Envelope, predicts, request_id_of
from deployments.serving.events import complain
from deployments.serving.metrics import ServerMetrics
from deployments.serving.model import Model, NotFinite
from deployments.serving.predicted import Predicted, predicted
from deployments.serving.recent import RecentAnswers
from deployments.serving.schema import Unanswerable

# Bigger requests are answered beside the event loop, so that health checks do not wait for them.
_QUICK_BYTES = 32_768


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold."""

    body_bytes: int = 8 * 1024 * 1024
    rows: int = 100_000


@dataclass(slots=True)
class Service:
    """A loaded, warm model and how it is served; it counts since `began`. `draining` changes once."""

    model: Model
    version: str
    limits: Limits = Limits()
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    predictions: Counter[str] = field(default_factory=Counter)
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    clock: Clock = field(default_factory=SystemClock)
    draining: bool = False
    began: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.now()


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
        Route("/ping", endpoints.ready),
        Route("/health", endpoints.ready),
        Route("/version", endpoints.version),
        Route("/metrics", endpoints.metrics),
        Route("/seatrial/counts", endpoints.counts),
        Route("/seatrial/answers", endpoints.answers),
    ]
    handlers = {
        HTTPException: _wrong_path,
        Unanswerable: _unanswerable,
        NotFinite: endpoints.not_finite,
        Exception: _failed,
    }
    application = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    application.router.redirect_slashes = False
    return Envelope(application, service)


class _Endpoints:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._name = service.model.description.product
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")

    async def invoke(self, request: Request) -> Response:
        service = self._service

        def answer(document: object) -> Answer:
            return answer_invocation(service.model, document, service.limits.rows)

        return await self._answered(request, answer)

    async def infer(self, request: Request) -> Response:
        self._check_name(request)
        service, request_id = self._service, request_id_of(request.scope)

        def answer(document: object) -> Answer:
            return answer_inference(service.model, service.version, document, request_id, service.limits.rows)

        return await self._answered(request, answer)

    async def describe(self, request: Request) -> Response:
        self._check_name(request)
        return _json(200, describe_model(self._service.model, self._service.version))

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
        return _json(200, {"name": "seatrial", "version": self._service.version, "extensions": []})

    async def version(self, _: Request) -> Response:
        return PlainTextResponse(self._service.version)

    async def metrics(self, _: Request) -> Response:
        return PlainTextResponse(self._service.metrics.as_text(), media_type="text/plain; version=0.0.4")

    async def counts(self, request: Request) -> Response:
        _refuse_outsiders(request)
        service = self._service
        return _json(200, {"epoch": service.epoch, "began": service.began, "predictions": service.predictions})

    async def answers(self, request: Request) -> Response:
        _refuse_outsiders(request)
        recent = self._service.recent
        answers, dropped = recent.after(_number_of(request, "after", 0), _number_of(request, "limit", 1000))
        told = [[each.number, each.request_id, each.mirrored, each.predicted] for each in answers]
        return _json(200, {"epoch": self._service.epoch, "last": recent.last, "answers": told, "dropped": dropped})

    async def not_finite(self, request: Request, _: Exception) -> Response:
        self._service.metrics.not_finite += 1
        complain("prediction not finite", request_id=request_id_of(request.scope))
        return _error(request, 500, "the model's prediction is not a finite number")

    def _check_name(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version", self._service.version)
        if (name, version) != (self._name, self._service.version):
            raise Unanswerable(404, f"this server has version {self._service.version} of {self._name!r} and no other")

    async def _answered(self, request: Request, answer: Callable[[object], Answer]) -> Response:
        body = await _body_of(request, self._service.limits.body_bytes)

        classes = self._service.model.description.classes

        def work() -> tuple[int, bytes, Predicted]:
            answered = answer(_parsed(body))
            return answered.rows, orjson.dumps(answered.content), predicted(answered.predictions, classes)

        if len(body) <= _QUICK_BYTES:
            rows, content, what = work()
        else:
            rows, content, what = await asyncio.get_running_loop().run_in_executor(self._beside, work)
        self._service.metrics.rows += rows
        predicts(request.scope, what)
        return Response(content, media_type="application/json")


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
    kind = request.headers.get("content-type", "application/json")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Unanswerable(415, "send the request as application/json")
    body = await body_within(request, limit)
    if body is None:
        raise Unanswerable(413, f"the request is larger than {limit} bytes: send its rows in parts")
    return body


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unanswerable(400, f"the request is not JSON (at character {error.pos})") from None


async def _unanswerable(request: Request, error: Unanswerable) -> Response:
    return _error(request, error.status, str(error))


async def _failed(request: Request, _: Exception) -> Response:
    return _error(request, 500, "the server failed on this request: its log says where")


async def _wrong_path(request: Request, error: HTTPException) -> Response:
    response = _error(request, error.status_code, f"{error.detail}: predictions are asked by POST at /invocations")
    response.headers.update(error.headers or {})
    return response


def _error(request: Request, status: int, message: str) -> Response:
    return _json(status, {"error": message, "request_id": request_id_of(request.scope)})


def _json(status: int, content: object) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
