"""Traces that go on through the server."""

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.serving.loaded_model import Model
from deployments.serving.server_state import Service
from deployments.serving.tracing import Spans, trace_id_of, tracing
from tests.unit.deployments.serving.test_management_api import RECORD, Caller, Failing, answering

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (TRACEPARENT, TRACE),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", TRACE),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{PARENT}", None),
        ("s3cret", None),
        ("", None),
    ],
)
def test_a_trace_is_named_as_the_standard_says(header: str, found: str | None) -> None:
    assert trace_id_of({b"traceparent": header.encode()}) == found
    assert trace_id_of({}) is None


def test_a_failure_is_logged_with_the_trace_of_its_caller(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "seatrial.serving"):
        answering(model, Failing()).post("/invocations", RECORD, traceparent=TRACEPARENT)
    assert vars(caplog.records[0])["fields"]["trace_id"] == TRACE


@pytest.fixture
def exported() -> Iterator[tuple[Any, Any]]:
    """A tracer, and the spans that it made."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("test"), exporter
    provider.shutdown()


def test_a_span_continues_the_trace_of_its_caller_and_says_how_it_went(model: Model, exported: tuple[Any, Any]) -> None:
    tracer, exporter = exported
    caller = Caller(Service(model, "3", clock=ManualClock(), spans=Spans(tracer, "flights", "3")))
    caller.post("/invocations", RECORD, traceparent=TRACEPARENT, **{"x-request-id": "id-7"})
    caller.post("/invocations", {})
    good, bad = exporter.get_finished_spans()
    assert (f"{good.context.trace_id:032x}", f"{good.parent.span_id:016x}") == (TRACE, PARENT)
    assert good.attributes["seatrial.request_id"] == "id-7"
    assert (good.attributes["seatrial.version"], good.attributes["http.response.status_code"]) == ("3", 200)
    assert (bad.parent, bad.attributes["http.response.status_code"]) == (None, 400)
    assert good.status.is_unset


def test_a_span_of_a_failure_is_marked_as_one(model: Model, exported: tuple[Any, Any]) -> None:
    tracer, exporter = exported
    answering(model, Failing(), spans=Spans(tracer, "flights", "3")).post("/invocations", RECORD)
    [span] = exporter.get_finished_spans()
    assert not span.status.is_ok
    assert "s3cret" not in span.to_json()


def test_nobody_who_does_not_want_spans_pays_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with tracing("flights", "3") as spans:
        assert spans is None


def test_a_missing_extra_is_told_once_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with caplog.at_level(logging.INFO, "seatrial.serving"), tracing("flights", "3") as spans:
        assert spans is None
    assert "install seatrial[otel]" in vars(caplog.records[0])["fields"]["error"]
