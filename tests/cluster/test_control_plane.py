"""The cluster's own machinery is away or begun anew: who serves goes on serving, and no candidate profits or suffers.

`SEATRIAL_TEST_API_DOWN` and `_UP` are commands that stop and start the API server, `SEATRIAL_TEST_MANAGER_DOWN` and
`_UP` the same for the controller-manager.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest

from deployments.cluster import Cluster, selector_of
from deployments.cluster.resource_kinds import POD, Kind
from deployments.rollout.state import Phase
from deployments.spec import CanarySection, CanaryStep, Strategy
from tests.cluster.conftest import wait_until
from tests.cluster.traffic import users
from tests.cluster.trials import RATE, Trial

_QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
_LONG = CanarySection(steps=(CanaryStep(weight=50),), wait=timedelta(minutes=4))


def stopped_by(part: str) -> Any:
    """Skips unless there are commands to stop and start that part."""
    names = {f"SEATRIAL_TEST_{part}_DOWN", f"SEATRIAL_TEST_{part}_UP"}
    return pytest.mark.skipif(not names <= os.environ.keys(), reason=f"nobody said how to stop it: {sorted(names)}")


@contextmanager
def without(part: str) -> Iterator[None]:
    """It is away while the block lasts."""
    _run(f"SEATRIAL_TEST_{part}_DOWN")
    try:
        yield
    finally:
        _run(f"SEATRIAL_TEST_{part}_UP")


def _run(name: str) -> None:
    subprocess.run(os.environ[name], shell=True, check=True, timeout=180)  # noqa: S602 - whoever tests wrote it


@stopped_by("API")
def test_a_restart_of_the_api_server_rolls_no_healthy_canary_back(
    products: Callable[[str], Trial], record_property: Callable[[str, object], None]
) -> None:
    """Four at once: a fresh server refuses everybody until it has read its roles."""
    tried = [products(f"restart{number}") for number in range(4)]
    steady = CanarySection(steps=(CanaryStep(weight=50),), wait=timedelta(seconds=60))
    try:
        with ExitStack() as stack:
            answered = [stack.enter_context(users(each.url, RATE / 4)) for each in tried]
            pool = stack.enter_context(ThreadPoolExecutor(len(tried)))
            ends = []
            for each in tried:
                candidate = each.fleet.add(each.product)
                ends.append(pool.submit(each.roll_out, candidate, Strategy.CANARY, canary=steady, replicas=1))
            wait_until(lambda: all(seen.codes["2", 200] > RATE / 4 for seen in answered), 600)
            with without("API"):
                time.sleep(5)
            states = [end.result(900) for end in ends]
        record_property("ends", [f"{state.phase}: {state.reason}" for state in states])
        record_property("answered", [dict(seen.codes) for seen in answered])
        assert [state.phase for state in states] == [Phase.DONE] * len(tried)
        assert [seen.requests - seen.codes["1", 200] - seen.codes["2", 200] for seen in answered] == [0] * len(tried)
    finally:
        for each in tried:
            each.end()


@stopped_by("MANAGER")
def test_a_pod_that_dies_while_nobody_notes_it_costs_the_candidate_its_rollout(
    trial: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    """Without the controller-manager its address stays among the ready ones, and users are sent there."""
    candidate = trial.fleet.add(trial.product)
    with users(trial.url, RATE) as answered, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(trial.roll_out, candidate, Strategy.CANARY, canary=_LONG)
        wait_until(lambda: answered.codes[str(candidate), 200] > RATE, 400)
        with without("MANAGER"):
            pod = cluster.list(POD, selector_of(trial.product, candidate))[0][0]["metadata"]["name"]
            _killed(pod, cluster.namespace)
            began = time.monotonic()
            wait_until(lambda: ending.done() or _share(trial, candidate) == 0, 240)
            record_property("seconds to 0 %", round(time.monotonic() - began, 1))
        state = ending.result(600)
    record_property("answered", dict(answered.codes))
    record_property("reason", state.reason)
    assert state.phase is Phase.ROLLED_BACK
    assert f"v{candidate}" in state.reason
    assert answered.failed(1) == 0
    assert trial.at_rest_with == (1,)


def _share(trial: Trial, version: int) -> float:
    live = trial.doors.router.read(trial.product)
    assert live is not None
    return live.weights.percents.get(version, 0)


def _killed(pod: str, namespace: str) -> None:
    from kubernetes import client

    client.CoreV1Api().delete_namespaced_pod(pod, namespace, grace_period_seconds=0)


def test_a_quota_with_room_for_one_of_two_pods_ends_the_rollout_and_is_named(
    trial: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    candidate = trial.fleet.add(trial.product)
    with users(trial.url, RATE) as answered, _room_for_one_pod_more(cluster):
        state = trial.roll_out(candidate, Strategy.CANARY)
    record_property("reason", state.reason)
    assert state.phase is Phase.ROLLED_BACK
    assert "exceeded quota: one-more" in state.reason
    assert set(answered.codes) == {("1", 200)}
    assert trial.at_rest_with == (1,)


@contextmanager
def _room_for_one_pod_more(cluster: Cluster) -> Iterator[None]:
    # A pod that is going makes room when it is gone.
    wait_until(lambda: not any("deletionTimestamp" in each["metadata"] for each in cluster.list(POD)[0]), 120)
    there = len(cluster.list(POD)[0])
    cluster.apply(_QUOTA, {"metadata": {"name": "one-more"}, "spec": {"hard": {"pods": str(there + 1)}}})
    wait_until(lambda: bool(((cluster.get(_QUOTA, "one-more") or {}).get("status") or {}).get("used")))
    try:
        yield
    finally:
        cluster.delete(_QUOTA, "one-more")
