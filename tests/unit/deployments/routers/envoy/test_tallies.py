"""The gateway's metrics page, read as counts."""

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.routers.envoy.tallies import copied, counted


def requests(product: str, version: str, code: int, count: int) -> str:
    return f'envoy_model_requests{{product="{product}",version="{version}",code="{code}"}} {count}\n'


def latencies(product: str, version: str, code: int, by_bucket: dict[int, int]) -> str:
    """`by_bucket`: how many answers lie in the bucket of that position."""
    bounds = [str(bound * 1000 - 1) for bound in LATENCY_BOUNDS_MS] + ["+Inf"]
    labels = f'product="{product}",version="{version}",code="{code}"'
    lines, below = [], 0
    for position, bound in enumerate(bounds):
        below += by_bucket.get(position, 0)
        lines.append(f'envoy_model_latency_bucket{{{labels},le="{bound}"}} {below}')
    return "\n".join(lines) + f"\nenvoy_model_latency_sum{{{labels}}} 6927.97\n"


def buckets(**by_bucket: int) -> tuple[int, ...]:
    return tuple(by_bucket.get(f"b{position}", 0) for position in range(len(LATENCY_BOUNDS_MS) + 1))


def test_codes_are_summed_and_5xx_are_errors() -> None:
    page = "".join(
        requests("flights", "flights_v1", code, count) for code, count in ((200, 90), (404, 5), (500, 3), (503, 2))
    )
    assert counted(page, "flights") == {1: Counts(requests=100, errors=5)}


def test_a_client_that_went_away_is_not_counted() -> None:
    page = requests("flights", "flights_v1", 0, 7) + latencies("flights", "flights_v1", 0, {3: 7})
    assert counted(page, "flights") == {}
    assert counted(page + requests("flights", "flights_v1", 200, 1), "flights") == {1: Counts(requests=1)}


def test_split_and_match_count_and_preview_does_not() -> None:
    page = (
        requests("flights", "flights_v1", 200, 90)
        + requests("flights", "flights_v2", 200, 10)
        + requests("flights.match", "flights_v2", 200, 4)
        + requests("flights.preview", "flights_v2", 200, 1000)
        + requests("flights.preview", "", 404, 3)
    )
    assert counted(page, "flights") == {1: Counts(requests=90), 2: Counts(requests=14)}


def test_a_product_whose_name_begins_like_another_is_apart() -> None:
    page = requests("flights", "flights_v1", 200, 1) + requests("flights-eu", "flights-eu_v1", 200, 2)
    page += requests("eu-flights", "eu-flights_v1", 200, 4)
    assert [counted(page, name)[1].requests for name in ("flights", "flights-eu", "eu-flights")] == [1, 2, 4]
    assert counted(page, "flight") == {}


def test_cumulative_buckets_become_counts_by_bucket_summed_over_codes_and_routes() -> None:
    page = (
        requests("flights", "flights_v1", 200, 6)
        + requests("flights", "flights_v1", 500, 1)
        + latencies("flights", "flights_v1", 200, {0: 2, 7: 3, 18: 1})
        + latencies("flights", "flights_v1", 500, {7: 1})
        + latencies("flights.match", "flights_v1", 200, {1: 5})
        + latencies("flights.preview", "flights_v1", 200, {2: 50})
    )
    assert counted(page, "flights")[1].latency == buckets(b0=2, b1=5, b7=4, b18=1)


def test_latencies_that_are_not_merged_yet_are_not_measured() -> None:
    assert counted(requests("flights", "flights_v1", 200, 6), "flights")[1].latency == ()


def mirrored(cluster: str, **counters: int) -> dict[str, int]:
    return {f"cluster.{cluster}_mirror.upstream_rq_{name}": count for name, count in counters.items()}


def test_copies_are_counted_without_those_that_envoy_dropped_itself() -> None:
    counters = mirrored("flights_v2", completed=50, **{"5xx": 12}, pending_overflow=8)
    counters |= mirrored("flights-eu_v2", completed=9)
    assert copied(counters, "flights") == {2: Counts(42, 4)}
    assert copied({}, "flights") == {}
