import pytest

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.clock import ManualClock
from deployments.errors import MetricsUnreachable, RouterUnreachable
from deployments.metrics.in_memory import InMemoryMetrics
from deployments.routers.in_memory import InMemoryRouter
from deployments.traffic import Backend, Routing, Weights


@pytest.mark.parametrize(("latency_ms", "bucket"), [(0.5, 0), (1, 0), (1.01, 1), (10000, 17), (10001, 18)])
def test_a_latency_falls_into_the_bucket_whose_bound_it_does_not_exceed(latency_ms: float, bucket: int) -> None:
    metrics = InMemoryMetrics(ManualClock())
    metrics.serve("shop", 1, requests=3, latency_ms=latency_ms)
    [counts] = metrics.read("shop").sources.values()
    assert len(counts.latency) == len(LATENCY_BOUNDS_MS) + 1
    assert [index for index, count in enumerate(counts.latency) if count] == [bucket]
    assert sum(counts.latency) == 3


@pytest.mark.parametrize(("requests", "errors"), [(1, 2), (-1, 0), (1, -1)])
def test_counts_that_cannot_be_are_refused(requests: int, errors: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        InMemoryMetrics().serve("shop", 1, requests=requests, errors=errors)


def test_what_went_through_a_router_in_memory_is_counted_beside_what_was_told() -> None:
    router = InMemoryRouter()
    router.apply("shop", Routing((Backend(1, ("/a.sock",)),), Weights.all_to(1)))
    metrics = InMemoryMetrics(ManualClock(), router.tallies)
    before = metrics.read("shop")
    for _ in range(3):
        with router.request("shop"):
            pass
    metrics.serve("shop", 1, predictions={"yes": 3})
    assert metrics.read("shop").since(before) == {1: Counts(3, predictions={"yes": 3})}


def test_a_router_that_does_not_answer_is_an_outage() -> None:
    def unreachable(_: str) -> dict[object, object]:
        raise RouterUnreachable("the gateway is away")

    with pytest.raises(MetricsUnreachable, match="the gateway is away"):
        InMemoryMetrics(ManualClock(), unreachable).read("shop")  # type: ignore[arg-type]
