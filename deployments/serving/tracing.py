"""Traces that go on through the server: W3C Trace Context (https://www.w3.org/TR/trace-context/), OpenTelemetry.

The id of a caller's trace stands in the log lines about its request. Spans are sent where `OTEL_EXPORTER_OTLP_ENDPOINT`
(or `…_TRACES_ENDPOINT`) says so, by the optional extra `seatrial[otel]`; OpenTelemetry's other variables count too.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from deployments.serving.server_log import log_failure

_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_NOTHING: Final = b"0"


def trace_id_of(headers: Mapping[bytes, bytes]) -> str | None:
    """Id of the trace that a request belongs to; None for none, and for one that is not as the standard says."""
    found = _TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
    if found is None or not found[1].strip(_NOTHING) or not found[2].strip(_NOTHING):
        return None
    return found[1].decode()


class Spans:
    """Tells a tracer of OpenTelemetry about each prediction, once it is answered."""

    def __init__(self, tracer: Any, product: str, version: str) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._extract = TraceContextTextMapPropagator().extract
        self._attributes = {"seatrial.product": product, "seatrial.version": version, "http.request.method": "POST"}

    def answered(self, headers: Mapping[bytes, bytes], request_id: str, code: int, times: tuple[float, float]) -> None:
        """One more request was answered; it came, and was over, at `times` in seconds since 1970."""
        from opentelemetry.trace import SpanKind, StatusCode

        carrier = {name: headers.get(name.encode(), b"").decode("latin-1") for name in ("traceparent", "tracestate")}
        came, over = (int(seconds * 1e9) for seconds in times)
        span = self._tracer.start_span(
            "predict",
            context=self._extract(carrier),
            kind=SpanKind.SERVER,
            attributes=self._attributes | {"http.response.status_code": code, "seatrial.request_id": request_id},
            start_time=came,
        )
        if code >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(over)


@contextmanager
def tracing(product: str, version: str) -> Iterator[Spans | None]:
    """Spans for the block, all sent at its end; None where nobody wants any, or the extra is not installed."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log_failure("no spans are sent", error=f"{error.name} is not installed: install seatrial[otel]")
        yield None
        return
    provider = TracerProvider(resource=Resource.create({"service.name": f"seatrial-{product}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield Spans(provider.get_tracer("seatrial"), product, version)
    finally:
        provider.shutdown()
