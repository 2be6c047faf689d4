"""Candidates that are well and whose users get no answer: on a real cluster, by what any Gateway does with it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest

from deployments.cluster import Cluster, object_name, selector_of
from deployments.cluster.object_names import COPIES_PORT, PAIRED_PORT, PORT
from deployments.cluster.resource_kinds import DEPLOYMENT, ENDPOINT_SLICE, POD, SERVICE
from deployments.rollout.state import Phase
from deployments.spec import CanarySection, CanaryStep, Strategy
from tests.cluster.conftest import wait_until
from tests.cluster.traffic import users
from tests.cluster.trials import RATE, Trial

_CANARY = CanarySection(steps=(CanaryStep(weight=50),), wait=timedelta(minutes=4))
# Nobody is there, and no network leads there (RFC 1112).
_NOWHERE = "240.0.0.1"
Cut = Callable[[Cluster, Trial, int], None]


def from_all(cluster: Cluster, trial: Trial, version: int) -> None:
    """The Service leads to a port at which nobody listens; the pods are well."""
    ports = [
        {"name": name, "port": port, "targetPort": 9, "protocol": "TCP"}
        for name, port in (("http", PORT), ("copies", COPIES_PORT), ("paired", PAIRED_PORT))
    ]
    cluster.merge(SERVICE, object_name(trial.product, version), {"spec": {"ports": ports}})


def from_one_of_three(cluster: Cluster, trial: Trial, version: int) -> None:
    """Its Service has an endpoint more, at which nobody is: as of a pod that died while nobody could say so."""
    service = object_name(trial.product, version)
    cluster.apply(
        ENDPOINT_SLICE,
        {
            "metadata": {"name": f"{service}-nobody", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [_NOWHERE], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        },
    )


@contextmanager
def cut_off(cut: Cut, cluster: Cluster, trial: Trial, version: int) -> Iterator[None]:
    cut(cluster, trial, version)
    try:
        yield
    finally:
        cluster.delete(ENDPOINT_SLICE, f"{object_name(trial.product, version)}-nobody")


@pytest.mark.parametrize("cut", [from_all, from_one_of_three])
def test_a_candidate_that_the_gateway_does_not_reach_is_rolled_back_within_minutes(
    trial: Trial, cluster: Cluster, record_property: Callable[[str, object], None], cut: Cut
) -> None:
    candidate = trial.fleet.add(trial.product)
    with users(trial.url, RATE) as answered, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(trial.roll_out, candidate, Strategy.CANARY, canary=_CANARY)
        wait_until(lambda: answered.codes[str(candidate), 200] > RATE, 400)
        with cut_off(cut, cluster, trial, candidate):
            began = time.monotonic()
            state = ending.result(600)
    record_property("answered", dict(answered.codes))
    record_property("seconds to its end", round(time.monotonic() - began, 1))
    record_property("reason", state.reason)
    assert state.phase is Phase.ROLLED_BACK
    assert f"v{candidate}" in state.reason
    assert answered.failed(1) == 0
    assert trial.at_rest_with == (1,)


def test_a_candidate_whose_deployment_is_removed_is_named_at_once(
    trial: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    candidate = trial.fleet.add(trial.product)
    name = object_name(trial.product, candidate)
    with users(trial.url, RATE) as answered, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(trial.roll_out, candidate, Strategy.CANARY, canary=_CANARY)
        wait_until(lambda: answered.codes[str(candidate), 200] > RATE, 400)
        cluster.delete(DEPLOYMENT, name)
        state = ending.result(600)
    record_property("reason", state.reason)
    assert state.phase is Phase.ROLLED_BACK
    assert f"Deployment {name}" in state.reason
    assert trial.at_rest_with == (1,)


def test_a_candidate_with_one_of_two_pods_is_not_promoted(
    trial: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    """Somebody edits its image to one that is nowhere, and ends a pod."""
    candidate = trial.fleet.add(trial.product)
    name = object_name(trial.product, candidate)
    short = CanarySection(steps=(CanaryStep(weight=50),), wait=timedelta(seconds=20))
    with users(trial.url, RATE) as answered, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(
            trial.roll_out, candidate, Strategy.CANARY, canary=short, ready_timeout=timedelta(seconds=60)
        )
        wait_until(lambda: answered.codes[str(candidate), 200] > RATE, 400)
        _edit_image(cluster, name)
        pod = cluster.list(POD, selector_of(trial.product, candidate))[0][0]["metadata"]
        cluster.delete(POD, pod["name"])
        state = ending.result(900)
    record_property("reason", state.reason)
    assert state.phase is Phase.ROLLED_BACK
    assert "somebody changed image of container server" in state.reason
    assert trial.at_rest_with == (1,)


def _edit_image(cluster: Cluster, deployment: str) -> None:
    """As `kubectl edit` does, under a name of its own."""
    from kubernetes import client

    containers = [{"name": "server", "image": "localhost/no-such-image:1"}]
    body = {"spec": {"template": {"spec": {"containers": containers}}}}
    client.AppsV1Api().patch_namespaced_deployment(deployment, cluster.namespace, body, field_manager="somebody")
