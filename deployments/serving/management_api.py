"""All that a model server answers beside predictions: health, metadata, counts, descriptions of itself."""

from collections.abc import Callable, Mapping

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deployments.caller_authentication import RUN_HEADER, UNPROVED
from deployments.serving.asgi import Front, request_id_of
from deployments.serving.codecs.mlflow import MlflowDialect
from deployments.serving.codecs.open_inference import OipDialect, describe_model, describe_server
from deployments.serving.inference_request import Dialect
from deployments.serving.input_validation import Unanswerable
from deployments.serving.mirror_headers import MIRRORED
from deployments.serving.openapi.docs_page import docs_page
from deployments.serving.openapi.document import openapi
from deployments.serving.prometheus_metrics import predictions_as_text, process_as_text
from deployments.serving.recent_by_user import hashed
from deployments.serving.server_state import Service


def make_app(service: Service) -> Front:
    """The ASGI application that serves `service`."""
    endpoints = _Endpoints(service)
    model = "/v2/models/{name}"
    routes = [
        Route("/invocations", endpoints.of_another_model, methods=["POST"]),
        *_both(model, "/infer", endpoints.of_another_model, "POST"),
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
        Route("/seatrial/users", endpoints.users),
        Route("/seatrial/log", endpoints.log),
    ]
    handlers = {
        HTTPException: endpoints.wrong_path,
        Unanswerable: endpoints.unanswerable,
        Exception: endpoints.failed,
    }
    application = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    application.router.redirect_slashes = False
    return Front(application, service, endpoints.dialects())


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

    def dialects(self) -> Mapping[str, Dialect]:
        """By the path at which it is spoken."""
        model, version = f"/v2/models/{self._name}", f"/versions/{self._service.version}"
        inference = dict.fromkeys((f"{model}/infer", f"{model}{version}/infer"), self._oip)
        return {"/invocations": self._mlflow, **inference}

    async def of_another_model(self, request: Request) -> Response:
        """What this server's own model is asked for, the front answers."""
        self._check_name(request)
        raise HTTPException(404)

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
        ready = self._service.ready
        return _json(200 if ready else 503, {"name": self._name, "ready": ready})

    async def ready(self, _: Request) -> Response:
        ready = self._service.ready
        return _json(200 if ready else 503, {"ready": ready})

    async def live(self, _: Request) -> Response:
        live = not self._service.beyond_hope
        return _json(200 if live else 503, {"live": live})

    async def server(self, _: Request) -> Response:
        return _json(200, describe_server())

    async def version(self, _: Request) -> Response:
        return PlainTextResponse(self._service.version)

    async def metrics(self, _: Request) -> Response:
        service, quick = self._service, self._service.model.quick
        self._have_been_told()
        parts = [
            service.metrics.as_text(len(service.asked)),
            predictions_as_text(service.predictions),
            service.unknown.as_text(),
            process_as_text(self._name, service.version, quick.how if quick else "", service.load_seconds),
            service.log.as_text() if service.log else "",
        ]
        return PlainTextResponse("".join(parts), media_type="text/plain; version=0.0.4")

    async def counts(self, request: Request) -> Response:
        self._refuse_outsiders(request)
        service = self._service
        self._have_been_told()
        told = {
            "epoch": service.epoch,
            "began": service.began,
            "predictions": service.predictions,
            "predictions_of": "requests",
            "keyed_predictions": service.keyed_predictions,
            "users": service.metrics.users.told(),
            "keyed": service.metrics.keyed.told(),
            "copies": service.metrics.copies.told(),
            "in_flight": len(service.asked),
            "waiting": service.waiting(),
            "unknown_categories": service.unknown.of_late(service.clock.monotonic()),
        }
        return _json(200, told)

    def _have_been_told(self) -> None:
        if self._service.remains is not None:
            self._service.remains.have_been_told()

    async def answers(self, request: Request) -> Response:
        self._refuse_outsiders(request)
        recent = self._service.recent
        answers, dropped = recent.after(_number_of(request, "after", 0), _number_of(request, "limit", 1000))
        told = [[each.number, each.request_id, each.mirrored, each.predicted] for each in answers]
        return _json(200, {"epoch": self._service.epoch, "last": recent.last, "answers": told, "dropped": dropped})

    async def users(self, request: Request) -> Response:
        self._refuse_outsiders(request)
        keyed, salt = self._service.keyed, request.query_params.get("salt", "").encode()
        answers, dropped = keyed.after(_number_of(request, "after", 0), _number_of(request, "limit", 1000))
        told = [
            [
                each.number,
                each.request_id,
                hashed(each.key, salt),
                each.failed,
                each.latency,
                each.given_up,
                each.predicted,
            ]
            for each in answers
        ]
        return _json(200, {"epoch": self._service.epoch, "last": keyed.last, "answers": told, "dropped": dropped})

    async def log(self, request: Request) -> Response:
        """What the inference log of this server lost, in rows by reason, and which old parts gave way."""
        self._refuse_outsiders(request)
        log = self._service.log
        dropped = {} if log is None else {reason.value: rows for reason, rows in log.dropped.items() if rows}
        return _json(200, {"dropped": dropped, "removed_parts": 0 if log is None else log.removed_parts})

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

    def _refuse_outsiders(self, request: Request) -> None:
        """What one user was told is nobody else's business.

        Users get no answer by the port for copies; where there is none, they come with this header of the gateway's.
        """
        marks = self._service.marks
        by_port = MIRRORED in marks.values()
        outside = (
            marks.get(request.scope["server"][1]) != MIRRORED if by_port else "x-forwarded-proto" in request.headers
        )
        if outside:
            raise HTTPException(404)
        shown = request.headers.get(RUN_HEADER)
        if not self._service.admitted.is_run(None if shown is None else shown.encode("latin-1")):
            raise Unanswerable(UNPROVED, "only a run that shows its proof is told what was answered")

    def _check_name(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version", self._service.version)
        if (name, version) != (self._name, self._service.version):
            raise Unanswerable(404, f"this server has version {self._service.version} of {self._name!r} and no other")


def _both(model: str, ending: str, endpoint: Callable[[Request], object], method: str) -> list[Route]:
    """The path of a model, with and without its version."""
    return [Route(f"{model}{middle}{ending}", endpoint, methods=[method]) for middle in ("", "/versions/{version}")]


def _number_of(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, str(default))
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise Unanswerable(422, f"`{name}` must be a number of at least 0")
    return int(given)


def _response(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Response:
    response = Response(body, status)
    response.raw_headers.extend(headers)
    return response


def _json(status: int, content: object) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
