"""What a Gateway counts of a version, by queries of the spec, beside what the pods count."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from deployments.analysis.counter_deltas import Reading, Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.clock import ManualClock
from deployments.errors import MetricsUnreachable
from deployments.metrics.gateway_prometheus import GatewayCounts
from deployments.metrics.prometheus_api import Prometheus
from deployments.spec import GatewayMetricsSection, GatewaySection, KubernetesSection
from tests.fakes.prometheus import FakePrometheus

CONTOUR = GatewayMetricsSection(
    requests='envoy_cluster_upstream_rq_xx{envoy_cluster_name="${namespace}_${service}_8080"}',
    errors='envoy_cluster_upstream_rq_xx{envoy_cluster_name="${namespace}_${service}_8080",envoy_response_code_class="5"}',
)
ISTIO = GatewayMetricsSection(
    requests='istio_requests_total{reporter="source",destination_service_name="$service"}',
    errors='istio_requests_total{reporter="source",destination_service_name="$service",response_code=~"5.."}',
)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
POD = Source(2, "pod a since 1", BEGAN)
COPIES = Source(2, "pod a since 1", BEGAN, mirrored=True)
LATENCY = (7,) + (0,) * len(LATENCY_BOUNDS_MS)
GIVEN_UP = (3,) + (0,) * len(LATENCY_BOUNDS_MS)


def contour(version: int, good: int, bad: int) -> str:
    labels = f'envoy_cluster_name="ml_model-shop-v{version}_8080"'
    return "".join(
        f'envoy_cluster_upstream_rq_xx{{{labels},envoy_response_code_class="{code}"}} {count}\n'
        for code, count in (("2", good), ("5", bad))
    )


def istio(version: int, good: int, bad: int) -> str:
    labels = f'reporter="source",destination_service_name="model-shop-v{version}"'
    return "".join(
        f'istio_requests_total{{{labels},response_code="{code}"}} {count}\n'
        for code, count in (("200", good), ("503", bad))
    )


@dataclass
class Gateway:
    prometheus: FakePrometheus
    told: dict[Source, Counts] = field(default_factory=dict)

    def read(self, section: GatewayMetricsSection) -> Mapping[Source, Counts]:
        counts = GatewayCounts(
            Prometheus(self.prometheus.url), section, "ml", lambda _: self.told, lambda _: (1, 2), ManualClock()
        )
        return counts.counts("shop")

    def by_version(self, section: GatewayMetricsSection) -> Mapping[int, Counts]:
        return Reading(BEGAN, self.read(section)).since(Reading(BEGAN, {}))


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with FakePrometheus() as prometheus:
        yield Gateway(prometheus)


@pytest.mark.parametrize(("section", "told"), [(CONTOUR, contour), (ISTIO, istio)], ids=["contour", "istio"])
def test_answers_that_a_gateway_gives_itself_are_errors_of_their_version(
    gateway: Gateway, section: GatewayMetricsSection, told: object
) -> None:
    text = told  # type: ignore[assignment]
    gateway.prometheus.scrape({"pod": "gw-1"}, text(1, 800, 1) + text(2, 50, 40))  # type: ignore[operator]
    gateway.prometheus.scrape({"pod": "gw-2"}, text(1, 80, 0) + text(2, 5, 4))  # type: ignore[operator]
    found = gateway.by_version(section)
    assert (found[1].requests, found[1].errors) == (881, 1)
    assert (found[2].requests, found[2].errors) == (99, 44)


def test_pods_still_count_latencies_copies_and_clients_that_gave_up_but_no_answer_twice(gateway: Gateway) -> None:
    gateway.told = {
        POD: Counts(10, 2, LATENCY, {"yes": 7.0}, given_up=GIVEN_UP),
        COPIES: Counts(5, 1),
    }
    gateway.prometheus.scrape({"pod": "gw-1"}, contour(2, 6, 4))
    found = gateway.read(CONTOUR)
    assert found[POD] == Counts(3, 0, LATENCY, {"yes": 7.0}, given_up=GIVEN_UP)
    assert found[COPIES] == Counts(5, 1)
    assert sum(counts.requests for source, counts in found.items() if not source.mirrored) == 13


def test_a_gateway_that_begins_again_counts_from_zero(gateway: Gateway) -> None:
    gateway.prometheus.scrape({"pod": "gw-1"}, contour(2, 100, 10))
    before = Reading(BEGAN, gateway.read(CONTOUR))
    gateway.prometheus.scrape({"pod": "gw-1"}, None)
    gateway.prometheus.scrape({"pod": "gw-2"}, contour(2, 7, 1))
    after = Reading(BEGAN, gateway.read(CONTOUR)).carrying(before)
    assert (after.since(before)[2].requests, after.since(before)[2].errors) == (8, 1)


def test_a_prometheus_that_does_not_answer_makes_the_reading_fail(gateway: Gateway) -> None:
    gateway.prometheus.answer = (503, b"starting")
    with pytest.raises(MetricsUnreachable, match="no Prometheus that lets us ask"):
        gateway.read(CONTOUR)


@pytest.mark.parametrize(
    ("requests", "says"),
    [
        ('up{cluster="$namespace_$service"}', r"\$namespace_, which stands for nothing"),
        ("gateway_requests_total", "the same for all versions"),
    ],
)
def test_a_query_that_cannot_tell_versions_apart_is_refused(requests: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        GatewayMetricsSection(requests=requests, errors=CONTOUR.errors)


def test_a_gateways_metrics_need_a_prometheus() -> None:
    with pytest.raises(ValidationError, match="give its address in prometheus"):
        KubernetesSection(image="i", gateway=GatewaySection(name="g", metrics=CONTOUR))
