"""The gateway's metrics page, read as counts."""

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.routers.envoy.access_log import AGE_BOUNDS_MS, LATENCY_BOUNDS_US
from deployments.routers.envoy.stats import counts_by_version, mirrored_by_version

BUCKETS = len(LATENCY_BOUNDS_MS) + 1


def requests(product: str, version: str, code: int, count: int, flags: str = "-", attempts: int = 1) -> str:
    labels = f'product="{product}",version="{version}",code="{code}",flags="{flags}",attempts="{attempts}"'
    return f"envoy_model_requests{{{labels}}} {count}\n"


def resets(product: str, version: str, count: int) -> str:
    return f'envoy_model_resets{{product="{product}",version="{version}"}} {count}\n'


def latencies(product: str, version: str, by_bucket: dict[int, int]) -> str:
    """`by_bucket`: how many answers lie in the bucket of that position."""
    return histogram("latency", f'product="{product}",version="{version}"', LATENCY_BOUNDS_US, by_bucket)


def ages(product: str, version: str, by_bucket: dict[int, int], attempts: int = 1) -> str:
    labels = f'product="{product}",version="{version}",attempts="{attempts}"'
    return histogram("age", labels, AGE_BOUNDS_MS, by_bucket)


def histogram(name: str, labels: str, bounds: tuple[float, ...], by_bucket: dict[int, int]) -> str:
    lines, below = [], 0
    for position, bound in enumerate([*map(str, bounds), "+Inf"]):
        below += by_bucket.get(position, 0)
        lines.append(f'envoy_model_{name}_bucket{{{labels},le="{bound}"}} {below}')
    return "\n".join(lines) + f"\nenvoy_model_{name}_sum{{{labels}}} 6927.97\n"


def buckets(**by_bucket: int) -> tuple[int, ...]:
    return tuple(by_bucket.get(f"b{position}", 0) for position in range(BUCKETS))


def only(page: str) -> Counts:
    ((_, counts),) = counts_by_version(page, "flights").items()
    return counts


def test_codes_are_summed_and_5xx_are_errors() -> None:
    page = "".join(
        requests("flights", "flights_v1", code, count) for code, count in ((200, 90), (404, 5), (500, 3), (503, 2))
    )
    assert counts_by_version(page, "flights") == {(1, False): Counts(requests=100, errors=5)}


def test_a_client_that_went_away_counts_once_its_age_is_known() -> None:
    page = requests("flights", "flights_v1", 0, 7, "DC") + requests("flights", "flights_v1", 200, 2, "DC")
    assert counts_by_version(page, "flights") == {}
    page += ages("flights", "flights_v1", {14: 9}) + requests("flights", "flights_v1", 200, 1)
    assert only(page) == Counts(requests=10, given_up=buckets(b14=9))


def test_a_client_that_went_away_before_a_server_was_asked_does_not_count() -> None:
    page = requests("flights", "flights_v1", 0, 7, "DC", 0) + ages("flights", "flights_v1", {3: 7}, attempts=0)
    assert counts_by_version(page, "flights") == {}


def test_a_client_that_breaks_the_protocol_has_given_up() -> None:
    page = requests("flights", "flights_v1", 0, 2, "DPE") + requests("flights", "flights_v1", 500, 2, "DPE")
    page += ages("flights", "flights_v1", {1: 4})
    assert (only(page).requests, only(page).errors) == (4, 0)


def test_what_the_gateway_says_for_a_version_is_an_error_of_it() -> None:
    flags = (("UH", 0), ("UF,URX", 4), ("UT", 1), ("UO", 1), ("UC,URX", 4))
    page = "".join(requests("flights", "flights_v1", 503, 1, flag, attempts) for flag, attempts in flags)
    assert only(page) == Counts(requests=5, errors=5)


def test_an_answer_that_broke_off_is_an_error_whatever_its_code() -> None:
    page = "".join(requests("flights", "flights_v1", code, 1, flag) for code in (200, 404) for flag in ("UC", "UT"))
    assert only(page) == Counts(requests=4, errors=4)


def test_a_request_that_succeeded_after_an_attempt_broke_off_is_an_error_and_one_after_a_refusal_is_not() -> None:
    page = requests("flights", "flights_v1", 200, 90) + requests("flights", "flights_v1", 200, 10, attempts=2)
    assert only(page) == Counts(requests=100)
    assert only(page + resets("flights", "flights_v1", 7)) == Counts(requests=100, errors=7)
    failed = requests("flights", "flights_v1", 503, 4, "UC,URX", attempts=4)
    assert only(page + failed + resets("flights", "flights_v1", 26)) == Counts(requests=104, errors=14)


def test_split_and_match_count_and_preview_does_not() -> None:
    page = (
        requests("flights", "flights_v1", 200, 90)
        + requests("flights", "flights_v2", 200, 10)
        + requests("flights.match", "flights_v2", 200, 4)
        + requests("flights.preview", "flights_v2", 200, 1000)
        + requests("flights.preview", "", 404, 3)
    )
    assert counts_by_version(page, "flights") == {(1, False): Counts(requests=90), (2, False): Counts(requests=14)}


def test_requests_with_a_key_are_told_apart() -> None:
    page = requests("flights", "flights_v1", 200, 9) + requests("flights.key", "flights_v1", 500, 4)
    page += resets("flights.key", "flights_v1", 8) + latencies("flights.key", "flights_v1", {2: 4})
    assert counts_by_version(page, "flights") == {
        (1, False): Counts(requests=9),
        (1, True): Counts(requests=4, errors=4, latency=buckets(b2=4)),
    }


def test_a_product_whose_name_begins_like_another_is_apart() -> None:
    page = requests("flights", "flights_v1", 200, 1) + requests("flights-eu", "flights-eu_v1", 200, 2)
    page += requests("eu-flights", "eu-flights_v1", 200, 4)
    assert [counts_by_version(page, name)[1, False].requests for name in ("flights", "flights-eu", "eu-flights")] == [
        1,
        2,
        4,
    ]
    assert counts_by_version(page, "flight") == {}


def test_cumulative_buckets_become_counts_by_bucket_summed_over_routes() -> None:
    page = (
        requests("flights", "flights_v1", 200, 11)
        + latencies("flights", "flights_v1", {0: 2, 7: 4, 18: 1})
        + latencies("flights.match", "flights_v1", {1: 5})
        + latencies("flights.preview", "flights_v1", {2: 50})
    )
    assert only(page).latency == buckets(b0=2, b1=5, b7=4, b18=1)


def test_latencies_that_are_not_merged_yet_are_not_measured() -> None:
    assert only(requests("flights", "flights_v1", 200, 6)).latency == ()


def test_a_gateway_of_an_earlier_version_is_read_as_it_counts() -> None:
    page = "".join(
        f'envoy_model_requests{{product="flights",version="flights_v1",code="{code}"}} {count}\n'
        for code, count in ((200, 90), (500, 3), (0, 7))
    )
    assert only(page) == Counts(requests=93, errors=3)


def mirrored(cluster: str, **counters: int) -> dict[str, int]:
    return {f"cluster.{cluster}_mirror.upstream_rq_{name}": count for name, count in counters.items()}


def test_copies_are_counted_without_those_that_envoy_dropped_itself() -> None:
    counters = mirrored("flights_v2", completed=50, **{"5xx": 12}, pending_overflow=8)
    counters |= mirrored("flights-eu_v2", completed=9)
    assert mirrored_by_version(counters, "flights") == {2: Counts(42, 4)}
    assert mirrored_by_version({}, "flights") == {}
