import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from deployments.analysis.counter_deltas import Reading, Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.clock import ManualClock
from deployments.errors import BadInput, MetricsUnreachable
from deployments.metrics.pod_prometheus import PrometheusCounters, TargetLabels
from deployments.serving.prometheus_metrics import ServerMetrics, predictions_as_text
from tests.fakes.prometheus import FakePrometheus

START = 1_767_225_600.25  # a moment of 2026
NOTHING = (0,) * (len(LATENCY_BOUNDS_MS) + 1)


def told(metrics: ServerMetrics, start: float = START, in_flight: int = 0, **predictions: float) -> str:
    """What a server says at /metrics that has loaded its model for 2.5 s."""
    process = f"process_start_time_seconds {start:.2f}\nseatrial_server_load_seconds 2.500\n"
    return metrics.as_text(in_flight) + predictions_as_text(predictions) + process


def counted(users: int = 0, errors: int = 0, copies: int = 0, seconds: float = 0.003) -> ServerMetrics:
    metrics = ServerMetrics()
    for number in range(users):
        metrics.keyless.add(500 if number < errors else 200, seconds)
    for _ in range(copies):
        metrics.copies.add(200, seconds)
    return metrics


def target(version: int = 1, pod: str = "one", product: str = "shop", **more: str) -> Mapping[str, str]:
    """Labels that a PodMonitor gives to what it scrapes."""
    whose = {"seatrial_dev_product": product, "seatrial_dev_version": str(version), "pod": pod}
    return {**whose, "instance": f"{pod}:8080", "job": "models", **more}


def in_5_ms(count: int) -> tuple[int, ...]:
    return tuple(count if bound == 5 else 0 for bound in (*LATENCY_BOUNDS_MS, 0))


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    with FakePrometheus() as fake:
        yield fake


@pytest.fixture
def counters(prometheus: FakePrometheus) -> PrometheusCounters:
    return PrometheusCounters(prometheus.url, lag=timedelta(seconds=1), clock=ManualClock())


class ScrapedMeanwhile(ManualClock):
    """A clock that scrapes when somebody has waited on it for the third time."""

    def __init__(self, prometheus: FakePrometheus, target: Mapping[str, str], text: str) -> None:
        super().__init__()
        self.prometheus, self.target, self.text, self.waits = prometheus, target, text, 0

    def sleep(self, duration: timedelta) -> None:
        super().sleep(duration)
        self.waits += 1
        if self.waits == 3:
            self.prometheus.scrape(self.target, self.text)


def by_version(found: Mapping[Source, Counts]) -> list[tuple[int, int, int]]:
    return sorted((source.version, counts.requests, counts.errors) for source, counts in found.items())


def test_each_pod_is_a_source_of_what_users_asked_of_it(
    prometheus: FakePrometheus, counters: PrometheusCounters
) -> None:
    prometheus.scrape(target(1, "one"), told(counted(users=5, errors=1, copies=2)))
    prometheus.scrape(target(1, "other"), told(counted(users=3)))
    prometheus.scrape(target(2, "new"), told(counted()))
    found = counters.tallies("shop")
    assert by_version(found) == [(1, 3, 0), (1, 5, 1), (2, 0, 0)]
    assert sorted(counts.latency for counts in found.values()) == [in_5_ms(0), in_5_ms(3), in_5_ms(5)]
    assert not any(source.mirrored for source in found)


def test_copies_are_told_apart_as_such(prometheus: FakePrometheus, counters: PrometheusCounters) -> None:
    prometheus.scrape(target(2), told(counted(users=5, errors=5, copies=2)))
    [(source, counts)] = counters.copies("shop").items()
    assert (source.version, source.mirrored, counts) == (2, True, Counts(2, 0, in_5_ms(2)))


def test_tallies_copies_and_predictions_come_at_once(prometheus: FakePrometheus, counters: PrometheusCounters) -> None:
    prometheus.scrape(target(), told(counted(users=5, copies=2), yes=3.75, no=1.25))
    found = counters.counts("shop")
    assert found == {
        next(iter(counters.tallies("shop"))): Counts(5, 0, in_5_ms(5), {"yes": 3.75, "no": 1.25}),
        next(iter(counters.copies("shop"))): Counts(2, 0, in_5_ms(2)),
    }


def test_every_bucket_is_told(prometheus: FakePrometheus, counters: PrometheusCounters) -> None:
    metrics = ServerMetrics()
    for number, bound in enumerate((*LATENCY_BOUNDS_MS, 20_000)):
        for _ in range(number):
            metrics.keyless.add(200, bound / 1000)
    prometheus.scrape(target(), told(metrics))
    [counts] = counters.tallies("shop").values()
    assert counts.latency == tuple(range(len(LATENCY_BOUNDS_MS) + 1))


def test_clients_that_went_away_before_the_answer_were_let_down_and_those_that_did_not_ask_to_the_end_were_not(
    prometheus: FakePrometheus, counters: PrometheusCounters
) -> None:
    metrics = counted(users=2)
    metrics.keyless.add(499, 1.0)
    metrics.keyless.give_up(0.004)
    metrics.keyless.give_up(0.005)
    metrics.copies.give_up(0.003)
    prometheus.scrape(target(), told(metrics))
    [counts] = counters.tallies("shop").values()
    assert counts == Counts(4, 0, in_5_ms(2), given_up=in_5_ms(2))


def test_one_that_is_slower_than_every_bound_is_a_request_before_it_is_over(
    prometheus: FakePrometheus, counters: PrometheusCounters
) -> None:
    metrics, slow = counted(users=2), (*in_5_ms(2)[:-1], 1)
    metrics.keyless.grow_late()
    prometheus.scrape(target(), told(metrics))
    assert list(counters.tallies("shop").values()) == [Counts(3, 0, slow)]
    metrics.keyless.give_up(12.0, late=True)
    prometheus.scrape(target(), told(metrics))
    assert list(counters.tallies("shop").values()) == [Counts(3, 1, slow)]


def test_a_server_that_does_not_tell_what_was_given_up_or_counts_predictions_by_rows_is_read_without(
    prometheus: FakePrometheus, counters: PrometheusCounters
) -> None:
    old = told(counted(users=2)).splitlines()
    old = [line for line in old if "given_up" not in line and "predicted" not in line]
    rows = ['seatrial_server_predictions_total{predicted="yes"} 200']
    prometheus.scrape(
        target(), "\n".join([*old, 'seatrial_server_requests_total{code="499",mirrored="false"} 3', *rows, ""])
    )
    [counts] = [each for source, each in counters.counts("shop").items() if not source.mirrored]
    assert counts == Counts(2, 0, in_5_ms(2))


def test_a_server_that_counts_by_other_bounds_tells_no_latency(
    prometheus: FakePrometheus, counters: PrometheusCounters
) -> None:
    prometheus.scrape(target(), told(counted(users=2)).replace('le="0.035"', 'le="0.025"'))
    [counts] = counters.tallies("shop").values()
    assert (counts.requests, counts.latency) == (2, ())


def test_requests_in_flight_are_summed_up_over_the_pods_of_a_version(
    prometheus: FakePrometheus, counters: PrometheusCounters
) -> None:
    for version, pod, in_flight in ((1, "one", 2), (1, "other", 3), (2, "new", 7)):
        prometheus.scrape(target(version, pod), told(counted(), in_flight=in_flight))
    assert [counters.in_flight("shop", version) for version in (1, 2, 3)] == [5, 7, 0]


def test_a_server_that_began_again_in_its_pod_is_another_source(
    prometheus: FakePrometheus, counters: PrometheusCounters
) -> None:
    prometheus.scrape(target(), told(counted(users=5)))
    before = Reading(datetime.now(UTC), counters.counts("shop"))
    prometheus.scrape(target(), told(counted(users=7)))
    after = Reading(datetime.now(UTC), counters.counts("shop"))
    assert after.since(before)[1].requests == 2
    prometheus.scrape(target(), told(counted(users=4), start=datetime.now(UTC).timestamp()))
    again = Reading(datetime.now(UTC), counters.counts("shop"))
    assert again.since(after)[1].requests == 4


def test_a_new_pod_that_a_reading_came_too_early_for_counts_whole_and_one_that_was_missed_not(
    prometheus: FakePrometheus,
) -> None:
    now = datetime.now(UTC)
    before = Reading(now, {})
    for age, requests in ((20, 5), (200, 0)):
        prometheus.scrape(target(), told(counted(users=5), start=now.timestamp() - age))
        found = PrometheusCounters(prometheus.url, lag=timedelta(minutes=1), clock=ManualClock()).counts("shop")
        assert Reading(now, found).without_copies().since(before).get(1, Counts()).requests == requests


def test_only_pods_of_the_product_are_counted(prometheus: FakePrometheus, counters: PrometheusCounters) -> None:
    prometheus.scrape(target(), told(counted(users=1)))
    prometheus.scrape(target(pod="another", product="shop-too"), told(counted(users=2)))
    assert by_version(counters.tallies("shop")) == [(1, 1, 0)]
    assert counters.tallies("sho") == counters.tallies('s"hop\\') == {}


def test_a_pod_that_several_jobs_scrape_counts_once_as_it_was_scraped_last(
    prometheus: FakePrometheus, counters: PrometheusCounters
) -> None:
    prometheus.scrape(target(job="by-hand"), told(counted(users=5)), ago=2)
    prometheus.scrape(target(job="models"), told(counted(users=4)), ago=9)
    prometheus.scrape(target(job="more"), told(counted(users=3)), ago=20)
    assert by_version(counters.tallies("shop")) == [(1, 5, 0)]


@pytest.mark.parametrize(("ago", "known"), [(290, 1), (310, 0)])
def test_what_is_older_than_five_minutes_does_not_count(
    prometheus: FakePrometheus, counters: PrometheusCounters, ago: float, known: int
) -> None:
    prometheus.scrape(target(), told(counted(users=5), in_flight=3), ago)
    assert len(counters.tallies("shop")) == len(counters.copies("shop")) == known
    assert counters.in_flight("shop", 1) == 3 * known


def test_a_pod_that_could_not_be_scraped_is_left_out(prometheus: FakePrometheus, counters: PrometheusCounters) -> None:
    prometheus.scrape(target(1, "one"), told(counted(users=5)))
    prometheus.scrape(target(1, "other"), told(counted(users=3)))
    prometheus.scrape(target(1, "one"), None)
    assert by_version(counters.tallies("shop")) == [(1, 3, 0)]


def test_the_labels_are_the_users(prometheus: FakePrometheus) -> None:
    labels = TargetLabels(product="model", version="release", pod="instance", namespace="space")
    counters = PrometheusCounters(prometheus.url, labels, "ml", clock=ManualClock())
    mine = {"model": "shop", "release": "7", "instance": "10.0.0.1:8080", "space": "ml"}
    prometheus.scrape(mine, told(counted(users=5)))
    assert by_version(counters.tallies("shop")) == [(7, 5, 0)]


def test_pods_of_the_same_product_in_another_namespace_do_not_count(prometheus: FakePrometheus) -> None:
    counters = PrometheusCounters(prometheus.url, namespace="ml", clock=ManualClock())
    for namespace, users in (("ml", 5), ("test", 3), ("ml-2", 2)):
        prometheus.scrape(target(pod=namespace, namespace=namespace), told(counted(users=users)))
    assert by_version(counters.tallies("shop")) == [(1, 5, 0)]
    prometheus.scrape(target(pod="nowhere"), told(counted(users=1)))
    with pytest.raises(MetricsUnreachable, match="without the label namespace"):
        counters.tallies("shop")


@pytest.mark.parametrize(
    ("label", "value", "reason"),
    [
        ("pod", None, "without the label pod"),
        ("seatrial_dev_version", None, "version"),
        ("seatrial_dev_version", "v1", "'v1'"),
    ],
)
def test_series_that_do_not_say_whose_they_are_are_told_and_not_taken_for_silence(
    prometheus: FakePrometheus, counters: PrometheusCounters, label: str, value: str | None, reason: str
) -> None:
    labels = {name: text for name, text in {**target(), label: value}.items() if text is not None}
    prometheus.scrape(labels, told(counted(users=5)))
    with pytest.raises(MetricsUnreachable, match=reason):
        counters.tallies("shop")


def test_what_is_told_was_scraped_after_it_was_asked_for(prometheus: FakePrometheus) -> None:
    prometheus.scrape(target(), told(counted(users=5)), ago=9)
    clock = ScrapedMeanwhile(prometheus, target(), told(counted(users=6)))
    assert by_version(PrometheusCounters(prometheus.url, clock=clock).tallies("shop")) == [(1, 6, 0)]
    assert clock.waits == 3


def test_a_scrape_that_does_not_come_is_not_waited_for_for_ever(prometheus: FakePrometheus) -> None:
    prometheus.scrape(target(), told(counted(users=5)), ago=9)
    clock = ManualClock()
    counters = PrometheusCounters(prometheus.url, lag=timedelta(seconds=20), clock=clock)
    assert by_version(counters.tallies("shop")) == [(1, 5, 0)]
    assert clock.monotonic() == 20


def test_only_raw_counters_are_asked_for(prometheus: FakePrometheus, counters: PrometheusCounters) -> None:
    prometheus.scrape(target(), told(counted(users=5)))
    counters.counts("shop")
    assert len(set(prometheus.queries)) == 2
    assert not any(word in query for query in prometheus.queries for word in ("rate", "increase", "sum", "["))


def test_nobody_there_is_told_with_the_address_and_no_password() -> None:
    with pytest.raises(MetricsUnreachable, match=r"at http://127\.0\.0\.1:1/prom does not answer") as told:
        PrometheusCounters("http://us:s3cret@127.0.0.1:1/prom?token=s3cret").counts("shop")
    assert "s3cret" not in str(told.value) + repr(told.value.__cause__)


def test_the_password_of_the_address_is_sent(prometheus: FakePrometheus) -> None:
    prometheus.login = "us:s3cret"
    with_password = prometheus.url.replace("://", "://us:s3cret@")
    assert PrometheusCounters(with_password).counts("shop") == {}
    with pytest.raises(MetricsUnreachable, match="HTTP 401"):
        PrometheusCounters(prometheus.url).counts("shop")


def test_an_address_that_is_none_is_told_without_it() -> None:
    with pytest.raises(BadInput, match="no URL") as told:
        PrometheusCounters("http://us:s3cret@host:port")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"status": "error", "errorType": "timeout", "error": "query timed out"}, "query timed out"),
        ({"status": "success", "warnings": ["store b: refused"], "data": {"result": []}}, "store b: refused"),
    ],
)
def test_a_query_that_fails_or_is_answered_in_part_is_named(
    prometheus: FakePrometheus, counters: PrometheusCounters, said: object, problem: str
) -> None:
    prometheus.answer = (422, json.dumps(said).encode())
    with pytest.raises(MetricsUnreachable, match=problem) as told:
        counters.counts("shop")
    assert 'seatrial_dev_product="shop"' in str(told.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"status": "success"}', b'{"status": "success", "data": {"result": [{}]}}'],
)
def test_whoever_answers_otherwise_is_no_prometheus(
    prometheus: FakePrometheus, counters: PrometheusCounters, body: bytes
) -> None:
    prometheus.answer = (200, body)
    with pytest.raises(MetricsUnreachable, match="no Prometheus"):
        counters.counts("shop")
