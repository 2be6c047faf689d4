import json
import struct
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.analysis.counter_deltas import Reading, Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.caller_authentication import GATEWAY_VARIABLE, KEY, RUN_VARIABLE, Admitted, Proofs
from deployments.cluster.object_names import COPIES_PORT, PAIRED_PORT, PORT
from deployments.errors import ClusterRefused, MetricsUnreachable
from deployments.key_files import key
from deployments.metrics.composite import LiveMetrics
from deployments.metrics.model_servers import answers_of
from deployments.metrics.paired_predictions import PairJoiner
from deployments.metrics.pods import PodCounters
from deployments.serving.codecs.mlflow import MlflowDialect
from deployments.serving.inflight_record import open_crash_record
from deployments.serving.predict_handler import Call
from deployments.serving.request_limits import Limits
from tests.advice import followed
from tests.fakes.kubernetes import FakeKubernetes, Proxied
from tests.model_pods import Pods


@pytest.fixture
def pods() -> Iterator[Pods]:
    with FakeKubernetes(controllers=False) as api:
        yield Pods(api)


@pytest.fixture
def counters(pods: Pods) -> PodCounters:
    return PodCounters(pods.cluster())


def at_3_ms(count: int) -> tuple[int, ...]:
    return tuple(count if bound == 5 else 0 for bound in (*LATENCY_BOUNDS_MS, 0))


def by_version(found: Mapping[Source, Counts]) -> list[tuple[int, int, int]]:
    return sorted((source.version, counts.requests, counts.errors) for source, counts in found.items())


def test_each_pod_tells_what_it_answered_to_users(pods: Pods, counters: PodCounters) -> None:
    one, other, candidate = pods.start(1, "one"), pods.start(1, "other"), pods.start(2)
    assert [one.ask(0), one.ask(99), other.ask(1, port=PAIRED_PORT)] == [200, 500, 200]
    candidate.ask(1, port=COPIES_PORT)
    assert by_version(counters.tallies("shop")) == [(1, 1, 0), (1, 2, 1), (2, 0, 0)]
    assert sorted(counts.latency for counts in counters.tallies("shop").values()) == [
        at_3_ms(0),
        at_3_ms(1),
        at_3_ms(2),
    ]


def test_what_clients_did_not_wait_for_is_told_by_its_age(pods: Pods, counters: PodCounters) -> None:
    pod = pods.start(1)
    pod.ask(0)
    pod.service.metrics.keyless.give_up(0.003)
    pod.service.metrics.keyed.give_up(0.004)
    pod.service.metrics.copies.give_up(0.003)
    found = counters.counts("shop")
    assert [each for source, each in found.items() if not source.mirrored] == [
        Counts(3, 0, at_3_ms(1), {"no": 1.0}, given_up=at_3_ms(2))
    ]
    assert [each for source, each in found.items() if source.mirrored] == [
        Counts(1, 0, at_3_ms(0), given_up=at_3_ms(1))
    ]


def test_a_server_of_old_that_knows_nothing_of_that_and_counts_rows_is_read_without(
    pods: Pods, counters: PodCounters
) -> None:
    pods.start(1)
    kind = {"requests": 4, "errors": 1, "latency": at_3_ms(4)}
    old = {"epoch": "e", "began": "2026-01-01T00:00:00+00:00", "users": kind, "copies": kind, "in_flight": 0}
    pods.api.answer_pods(lambda *_: Proxied(200, json.dumps({**old, "predictions": {"yes": 400}}).encode()))
    assert set(map(repr, counters.counts("shop").values())) == {repr(Counts(4, 1, at_3_ms(4)))}


def test_a_request_that_kills_its_server_is_an_error_of_the_next_one(
    pods: Pods, counters: PodCounters, tmp_path: Path
) -> None:
    """From look to look: what the dead one had counted is not counted again, and nothing is made up."""
    pods.start(1).ask(0)
    before = Reading(pods.clock.now(), counters.counts("shop"))
    died_with(tmp_path / "remains", users=2, copies=1)
    pods.clock.advance(timedelta(seconds=5))
    with open_crash_record(tmp_path / "remains") as remains:
        successor = pods.start(1, remains=remains)
        successor.ask(1)
        after = Reading(pods.clock.now(), counters.counts("shop")).carrying(before)
        assert after.without_copies().since(before.without_copies()) == {1: Counts(3, 2, at_3_ms(1), {"yes": 1.0})}
        again = Reading(pods.clock.now(), counters.counts("shop")).carrying(after)
        assert again.since(after) == {1: Counts(latency=at_3_ms(0))}


def died_with(path: Path, users: int, copies: int) -> None:
    """A server is gone that was answering so many."""
    with open_crash_record(path):
        pass
    path.write_bytes(struct.pack("6q", users, 0, copies, 0, 0, 0))


def test_copies_are_told_apart_as_such(pods: Pods, counters: PodCounters) -> None:
    pods.start(1).ask(0)
    candidate = pods.start(2)
    assert [candidate.ask(row, port=COPIES_PORT) for row in (1, 99)] == [200, 500]
    found = counters.copies("shop")
    assert by_version(found) == [(1, 0, 0), (2, 2, 1)]
    assert all(source.mirrored for source in found)
    assert not any(source.mirrored for source in counters.tallies("shop"))


def test_one_question_a_pod_tells_tallies_copies_and_predictions(pods: Pods, counters: PodCounters) -> None:
    pod = pods.start(1)
    pod.ask(0, 1, 1)
    pod.ask(2, port=COPIES_PORT)
    asked = pods.api.request_count
    found = counters.counts("shop")
    assert pods.api.request_count - asked == 2  # a list, and a pod
    [users] = [counts for source, counts in found.items() if not source.mirrored]
    [copies] = [counts for source, counts in found.items() if source.mirrored]
    assert users == Counts(1, 0, at_3_ms(1), {"no": 1 / 3, "yes": 2 / 3})
    assert copies == Counts(1, 0, at_3_ms(1))
    assert found.keys() == counters.tallies("shop").keys() | counters.copies("shop").keys()


def test_a_server_that_began_again_in_its_pod_is_another_source_that_says_since_when(
    pods: Pods, counters: PodCounters
) -> None:
    pods.start(1)
    [before] = counters.tallies("shop")
    assert list(counters.tallies("shop")) == [before]
    pods.clock.advance(timedelta(minutes=1))
    pods.start(1)
    [after] = counters.tallies("shop")
    assert (before.epoch != after.epoch, after.began) == (True, pods.clock.now())


def test_requests_of_any_kind_are_in_flight_at_the_pods_of_their_version(pods: Pods, counters: PodCounters) -> None:
    busy, also, other = pods.start(1, "busy"), pods.start(1, "also"), pods.start(2)
    for pod, count in ((busy, 2), (also, 1), (other, 5)):
        call = Call(MlflowDialect(pod.service.model.description, Limits()), {}, "id", False, False, 0.0)
        pod.service.asked = dict.fromkeys(range(count), call)  # type: ignore[assignment, misc]
    assert [counters.in_flight("shop", version) for version in (1, 2, 3)] == [3, 5, 0]


def test_a_pod_that_does_not_answer_is_left_out_and_nobody_else(pods: Pods, counters: PodCounters) -> None:
    pods.start(1, "alive").ask(0)
    pods.start(1, "gone")
    del pods.pods["gone"]
    assert by_version(counters.tallies("shop")) == [(1, 1, 0)]


@pytest.mark.parametrize("answer", [Proxied(404, b"{}"), Proxied(200, b"{}"), Proxied(200, b"nope"), Proxied(500, b"")])
def test_a_pod_that_answers_otherwise_is_left_out(pods: Pods, counters: PodCounters, answer: Proxied) -> None:
    pods.start(1)
    pods.api.answer_pods(lambda *_: answer)
    assert counters.counts("shop") == {}


def test_a_pod_that_counts_by_other_bounds_is_left_out(pods: Pods, counters: PodCounters) -> None:
    pods.start(1)
    users = '{"requests": 0, "errors": 0, "latency": [0, 0]}'
    told = f'{{"epoch": "e", "began": "2026-01-01T00:00:00+00:00", "users": {users}, "copies": {users}}}'
    pods.api.answer_pods(lambda *_: Proxied(200, told.encode()))
    assert counters.counts("shop") == {}


def test_only_running_pods_of_the_product_are_asked(pods: Pods, counters: PodCounters) -> None:
    pods.start(1, "running").ask(0)
    pods.start(1, "pending", phase="Pending")
    pods.start(1, "ended", phase="Succeeded")
    pods.start(1, "another", product="shop-too").ask(0)
    assert counters.servers("shop") == {1: ["running"]}
    assert by_version(counters.tallies("shop")) == [(1, 1, 0)]


def test_no_pods_are_nothing_counted(counters: PodCounters) -> None:
    assert (counters.counts("shop"), counters.in_flight("shop", 1)) == ({}, 0)


def test_an_api_server_that_is_away_is_told_with_its_address(pods: Pods, counters: PodCounters) -> None:
    pods.start(1)
    with pods.api.away(), pytest.raises(MetricsUnreachable, match=pods.api.url):
        counters.counts("shop")


def test_pods_that_may_not_be_asked_are_told_with_the_right_that_is_missing(pods: Pods, counters: PodCounters) -> None:
    pods.start(1)
    pods.api.faults.forbid("get", "pods/proxy")
    with pytest.raises(ClusterRefused, match="pods/proxy"):
        counters.counts("shop")


def test_pods_that_may_not_be_listed_are_told(pods: Pods, counters: PodCounters) -> None:
    pods.api.faults.forbid("list", "pods")
    with pytest.raises(ClusterRefused, match="list"):
        counters.counts("shop")


def test_answers_of_pods_are_read_on_from_a_number(pods: Pods, counters: PodCounters) -> None:
    pod = pods.start(1)
    for request_id, port in (("a", PAIRED_PORT), ("b", COPIES_PORT), ("c", PORT), ("d", PAIRED_PORT)):
        pod.ask(1, port=port, request_id=request_id)
    first = answers_of(pod.name, 0, 1, counters.ask)
    assert [(each.request_id, each.mirrored, each.predicted) for each in first.answers] == [("a", False, ("yes",))]
    rest = answers_of(pod.name, first.next, 9, counters.ask)
    assert [(each.request_id, each.mirrored) for each in rest.answers] == [("b", True), ("d", False)]


def test_pairs_find_each_other_over_pods(pods: Pods, counters: PodCounters) -> None:
    stable, candidate = pods.start(1), pods.start(2)
    joiner = PairJoiner(counters.servers, lambda *_: {}, ask=counters.ask)
    joiner.look("shop")
    for request_id, said, mirrored in (("a", 0, 0), ("b", 0, 1), ("c", 2, 2)):
        stable.ask(said, port=PAIRED_PORT, request_id=request_id)
        candidate.ask(mirrored, port=COPIES_PORT, request_id=request_id)
    pairs, _ = joiner.look("shop")
    assert (pairs.compared, pairs.disagreed) == (3, 1)


def test_pods_are_asked_for_their_answers_only_where_pairs_are_wanted(pods: Pods) -> None:
    cluster = pods.cluster()
    counters = PodCounters(cluster)
    pods.start(1)
    metrics = LiveMetrics(
        (counters.counts,), PairJoiner(counters.servers, lambda product, ids: {}, ask=counters.ask), pods.clock
    )
    metrics.read("shop", paired=False)
    assert cluster.calls == {"list pods": 1, "proxy pods": 1}
    metrics.read("shop")
    assert cluster.calls == {"list pods": 3, "proxy pods": 3}


@pytest.fixture
def proofs(tmp_path: Path) -> Proofs:
    key(tmp_path / "keys", KEY)
    return Proofs(tmp_path / "keys")


def admitted(proofs: Proofs, version: int) -> Admitted:
    told = proofs.told_to_pods("shop", version)
    return Admitted(told[RUN_VARIABLE], told[GATEWAY_VARIABLE])


def test_pods_that_ask_for_a_proof_are_shown_that_of_their_version_and_those_of_old_are_read_beside_them(
    pods: Pods, proofs: Proofs
) -> None:
    """As in a rollout in the middle of which Seatrial is upgraded: the champion's pods know no proofs."""
    pods.start(1).ask(0)
    pods.start(2, admitted=admitted(proofs, 2)).ask(1)
    counters = PodCounters(pods.cluster(), proofs)
    assert by_version(counters.tallies("shop")) == [(1, 1, 0), (2, 1, 0)]
    assert counters.in_flight("shop", 2) == 0


def test_pods_of_another_key_are_named_with_the_way_out(pods: Pods, proofs: Proofs, tmp_path: Path) -> None:
    pods.start(1, admitted=admitted(proofs, 1)).ask(0)
    key(tmp_path / "other", KEY)
    with pytest.raises(ClusterRefused, match=r"kubectl set env deployment/model-shop-v1 SEATRIAL_RUN_PROOF-") as told:
        PodCounters(pods.cluster(), Proofs(tmp_path / "other")).counts("shop")
    assert followed("does not take our proof: give this run the key") in str(told.value)
    (tmp_path / "other" / KEY).write_bytes((tmp_path / "keys" / KEY).read_bytes())
    assert by_version(PodCounters(pods.cluster(), Proofs(tmp_path / "other")).tallies("shop")) == [(1, 1, 0)]
    # What `kubectl set env` leaves is a pod that asks for nothing.
    pods.start(1, admitted=Admitted("", admitted(proofs, 1).gateway)).ask(0)
    assert by_version(PodCounters(pods.cluster()).tallies("shop")) == [(1, 1, 0)]
