"""What goes wrong in a real cluster: no room, no image, no rights, pods that die; the champion serves all the while."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployments.cluster import Cluster, selector_of
from deployments.cluster.resource_kinds import POD, Kind
from deployments.errors import ClusterRefused
from deployments.rollout.state import Phase
from deployments.spec import Strategy
from tasks.rollout_engine.takeover import take_over
from tests.cluster.accounts import runner_with, without
from tests.cluster.conftest import wait_until
from tests.cluster.traffic import users
from tests.cluster.trials import RATE, Trial, carried
from tests.contracts.test_rights import rules

_QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")


def test_a_quota_that_is_used_up_ends_the_rollout_at_once_and_is_named(
    serving: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    candidate, began = serving.fleet.add(serving.product), time.monotonic()
    with users(serving.url, RATE) as answered, no_room(cluster):
        state = serving.roll_out(candidate, Strategy.CANARY)
    record_property("seconds to its end", round(time.monotonic() - began, 1))
    record_property("reason", state.reason)
    assert state.phase is Phase.ROLLED_BACK
    assert "exceeded quota: tried" in state.reason
    assert set(answered.codes) == {(str(serving.champion), 200)}
    assert serving.at_rest_with == (serving.champion,)


@contextmanager
def no_room(cluster: Cluster) -> Iterator[None]:
    """No pod may be made."""
    cluster.apply(_QUOTA, {"metadata": {"name": "tried"}, "spec": {"hard": {"pods": "0"}}})
    wait_until(lambda: bool(((cluster.get(_QUOTA, "tried") or {}).get("status") or {}).get("used")))
    try:
        yield
    finally:
        cluster.delete(_QUOTA, "tried")


def test_an_image_that_is_nowhere_ends_the_rollout_at_once_and_is_named(
    serving: Trial, runner: Cluster, record_property: Callable[[str, object], None]
) -> None:
    candidate, began = serving.fleet.add(serving.product), time.monotonic()
    elsewhere = serving.by_way_of(runner, image="localhost/no-such-image:1", pull_policy="Never")
    with users(serving.url, RATE) as answered:
        state = elsewhere.roll_out(candidate, Strategy.CANARY)
    record_property("seconds to its end", round(time.monotonic() - began, 1))
    record_property("reason", state.reason)
    assert state.phase is Phase.ROLLED_BACK
    assert "no-such-image" in state.reason
    assert set(answered.codes) == {(str(serving.champion), 200)}
    assert serving.at_rest_with == (serving.champion,)


def test_what_the_chart_lets_a_runner_do_is_enough_for_a_whole_rollout(
    serving: Trial, cluster: Cluster, tmp_path: Path
) -> None:
    candidate = serving.fleet.add(serving.product)
    with users(serving.url, RATE) as answered, runner_with(rules("runner"), cluster, tmp_path) as allowed:
        state = serving.by_way_of(allowed).roll_out(candidate, Strategy.CANARY)
    assert state.phase is Phase.DONE, state.reason
    assert {code for _, code in answered.codes} == {200}
    assert serving.at_rest_with == (candidate,)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("patch", "deployments"), ("create", "pods/proxy"), ("update", "httproutes"), ("list", "pods")],
)
def test_a_runner_without_a_right_says_which_and_the_champion_serves(
    serving: Trial,
    cluster: Cluster,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    verb: str,
    resource: str,
) -> None:
    candidate, few = serving.fleet.add(serving.product), without(rules("runner"), verb, resource)
    with users(serving.url, RATE) as answered, runner_with(few, cluster, tmp_path) as allowed:
        said = _said_of(serving.by_way_of(allowed), candidate)
    record_property("said", said)
    # As the API server puts it: cannot create resource "pods/proxy" in API group "" in the namespace "…"
    assert f'cannot {verb} resource "{resource}"' in said
    assert cluster.namespace in said
    assert set(answered.codes) == {(str(serving.champion), 200)}
    for left in [each for each in serving.doors.journal.rollouts(serving.product) if each.live]:
        assert carried(take_over(left, serving.doors), serving.doors).phase is Phase.ROLLED_BACK
    assert serving.at_rest_with == (serving.champion,)


def _said_of(trial: Trial, candidate: int) -> str:
    """Why it was given up; or, where the same right is needed to put things back, why that failed."""
    try:
        state = trial.roll_out(candidate, Strategy.CANARY)
    except ClusterRefused as error:
        return str(error)
    assert state.phase is Phase.ROLLED_BACK
    return state.reason


@pytest.mark.parametrize("grace", [None, 0], ids=["evicted", "killed"])
def test_a_pod_that_goes_while_it_serves_comes_back_and_few_notice(
    serving: Trial, cluster: Cluster, record_property: Callable[[str, object], None], grace: int | None
) -> None:
    champion = serving.champion
    with users(serving.url, RATE) as answered:
        while answered.requests < 5 * RATE:
            time.sleep(0.1)
        gone = cluster.list(POD, selector_of(serving.product, champion))[0][0]["metadata"]["name"]
        _end(gone, cluster.namespace, grace)
        wait_until(lambda: gone not in _ready(serving, champion) and len(_ready(serving, champion)) == 2, 240)
    failed = answered.requests - answered.codes[str(champion), 200]
    record_property("requests", answered.requests)
    record_property("failed", f"{failed} {dict(answered.codes)}")
    # One that is asked to leave finishes what it is answering; one that is killed loses what was on its way to it.
    assert failed == 0 if grace is None else failed < 3 * RATE
    assert serving.at_rest_with == (champion,)


def _ready(trial: Trial, version: int) -> set[str]:
    return {each.name for each in trial.doors.target.replicas(trial.product, version) if each.state == "ready"}


def _end(pod: str, namespace: str, grace: int | None) -> None:
    from kubernetes import client

    options: dict[str, Any] = {} if grace is None else {"grace_period_seconds": grace}
    client.CoreV1Api().delete_namespaced_pod(pod, namespace, **options)
