"""Pods of a cluster that misbehaves: what is told, what is waited for, and what the next call completes."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.cluster import Cluster, labels_of
from deployments.errors import ClusterRefused, TargetUnreachable
from deployments.spec import AutoscalingSection, KubernetesSection
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.protocol import Launch, Replica, ReplicaState
from tests.contracts.kubernetes.breaking import broken_off_anywhere, goes_late, kept, once, once_watched, refused
from tests.fakes.kubernetes import (
    CRASHING,
    IMAGE_MISSING,
    NEVER_READY,
    PROBE_FAILING,
    READY,
    UNSCHEDULABLE,
    FakeKubernetes,
    Fate,
    PodScript,
    Proxied,
)

NAME = "model-flights-v1"
DRAIN = timedelta(seconds=5)
KINDS = ("Deployment", "Service", "PodDisruptionBudget")


def launch(replicas: int = 2) -> Launch:
    return Launch("flights", 1, Path("/nowhere"), replicas)


def everything(api: FakeKubernetes) -> dict[str, list[Any]]:
    return {kind: [kept(each) for each in api.objects(kind)] for kind in (*KINDS, "HorizontalPodAutoscaler")}


def states(target: KubernetesTarget) -> list[ReplicaState]:
    return [each.state for each in target.replicas("flights", 1)]


def nothing_of_ours(api: FakeKubernetes) -> bool:
    return not any(api.objects(kind) for kind in (*KINDS, "ReplicaSet", "Pod"))


def test_a_launch_that_broke_off_anywhere_is_completed_by_the_next(
    api: FakeKubernetes, target: KubernetesTarget
) -> None:
    target.launch(launch())
    whole = everything(api)
    rounds = 0
    for _ in broken_off_anywhere(api, lambda: target.launch(launch()), lambda: target.retire("flights", 1, DRAIN)):
        assert everything(api) == whole
        assert states(target) == [ReplicaState.READY] * 2
        rounds += 1
    assert rounds >= 7


def test_a_retirement_that_broke_off_anywhere_is_completed_by_the_next(
    api: FakeKubernetes, target: KubernetesTarget
) -> None:
    rounds = 0
    for _ in broken_off_anywhere(api, lambda: target.retire("flights", 1, DRAIN), lambda: target.launch(launch())):
        assert nothing_of_ours(api)
        rounds += 1
    assert rounds >= 9


def test_looking_and_asking_say_that_the_server_is_away(api: FakeKubernetes, target: KubernetesTarget) -> None:
    target.launch(launch())
    [replica, _] = target.replicas("flights", 1)
    with api.away(resets=True):
        for act in (
            lambda: target.replicas("flights", 1),
            lambda: target.versions("flights"),
            lambda: target.ask(replica, "/invocations", b"{}"),
        ):
            assert api.url in refused(TargetUnreachable, act)
    assert states(target) == [ReplicaState.READY] * 2


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_lost_answers_change_nothing(api: FakeKubernetes, target: KubernetesTarget, method: str) -> None:
    target.launch(launch())
    whole = everything(api)
    target.retire("flights", 1, DRAIN)
    for path in ("deployments", "services", "poddisruptionbudgets"):
        api.faults.lose_next_answers(1, method, path)
    target.launch(launch())
    assert everything(api) == whole
    target.retire("flights", 1, DRAIN)
    assert nothing_of_ours(api)


@pytest.mark.parametrize(
    ("script", "state", "says"),
    [
        (IMAGE_MISSING, ReplicaState.FAILED, 'pulling image "seatrial:1"'),
        (UNSCHEDULABLE, ReplicaState.STARTING, "not scheduled: 0/1 nodes are available: 1 Insufficient memory"),
        (CRASHING, ReplicaState.FAILED, "exit code 1"),
        (
            PodScript(Fate.CRASHING, log='{"event": "refused to serve", "error": "no such column"}'),
            ReplicaState.FAILED,
            "no such column",
        ),
        (PROBE_FAILING, ReplicaState.STARTING, "Unhealthy: Readiness probe failed"),
        (NEVER_READY, ReplicaState.STARTING, ""),
    ],
    ids=["image missing", "unschedulable", "crashing", "crashing with last words", "probe failing", "never ready"],
)
def test_a_pod_that_does_not_come_up_says_why_and_is_given_up_only_if_hopeless(
    api: FakeKubernetes, target: KubernetesTarget, script: PodScript, state: ReplicaState, says: str
) -> None:
    api.script(NAME, script)
    target.launch(launch())
    for replica in target.replicas("flights", 1):
        assert replica.state is state
        assert says in replica.detail


def test_what_a_quota_forbids_is_given_up_with_the_quotas_name_and_comes_once_there_is_room(
    api: FakeKubernetes, target: KubernetesTarget
) -> None:
    api.faults.limit("pods", 1, "small")
    target.launch(launch())
    first, second = target.replicas("flights", 1)
    assert (first.state, second.state) == (ReplicaState.READY, ReplicaState.FAILED)
    assert "exceeded quota: small" in second.detail
    api.faults.heal()
    api.settle(anew=True)
    assert states(target) == [ReplicaState.READY] * 2


def test_a_quota_for_deployments_is_told_by_its_name(api: FakeKubernetes, target: KubernetesTarget) -> None:
    api.faults.limit("deployments", 0, "none")
    assert "exceeded quota: none" in refused(ClusterRefused, lambda: target.launch(launch()))


def test_a_pod_that_was_killed_is_replaced_by_another(api: FakeKubernetes, target: KubernetesTarget) -> None:
    target.launch(launch())
    former = target.replicas("flights", 1)
    api.remove("Pod", former[0].name)
    now = target.replicas("flights", 1)
    assert [each.state for each in now] == [ReplicaState.READY] * 2
    assert former[1] in now
    assert former[0] not in now


def gone_node(api: FakeKubernetes, target: KubernetesTarget) -> Replica:
    target.launch(launch())
    replica = target.replicas("flights", 1)[0]
    api.script(replica.name, PodScript(terminates=False))
    # Nothing comes: only the clock of the test goes on.
    api.faults.watch_ends_after = 0
    return replica


def test_a_pod_on_a_node_that_is_gone_ends_a_retirement_within_its_bound(
    api: FakeKubernetes, target: KubernetesTarget, clock: ManualClock
) -> None:
    lost = gone_node(api, target)
    said = refused(TargetUnreachable, lambda: target.retire("flights", 1, DRAIN))
    assert lost.name in said
    assert "105 s" in said, "less than its pods may take to end"
    assert clock.monotonic() == pytest.approx(105, abs=2)
    assert api.object("Service", NAME) is not None, "a gateway may still be on its way to that pod"
    assert states(target) == [ReplicaState.STOPPING]
    api.script(lost.name, READY)
    target.retire("flights", 1, DRAIN)
    assert nothing_of_ours(api)


def test_what_is_still_going_is_waited_for_rather_than_launched_into(
    api: FakeKubernetes, target: KubernetesTarget
) -> None:
    lost = gone_node(api, target)
    refused(TargetUnreachable, lambda: target.retire("flights", 1, DRAIN))
    assert "still on its way out" in refused(TargetUnreachable, lambda: target.launch(launch()))
    api.script(lost.name, READY)
    target.launch(launch())
    assert states(target) == [ReplicaState.READY] * 2


def test_a_deployment_that_goes_after_its_last_pod_is_seen_going(
    api: FakeKubernetes, target: KubernetesTarget, clock: ManualClock
) -> None:
    target.launch(launch())
    goes_late(api, NAME)
    target.retire("flights", 1, DRAIN)
    assert nothing_of_ours(api)
    assert clock.monotonic() == 0


def test_waiting_ends_with_the_first_news(api: FakeKubernetes, target: KubernetesTarget, clock: ManualClock) -> None:
    api.script(NAME, NEVER_READY)
    target.launch(launch())
    assert states(target) == [ReplicaState.STARTING] * 2
    once_watched(api, "pods", lambda: api.script(NAME, READY))
    target.wait("flights", 1, timedelta(seconds=30), clock)
    assert states(target) == [ReplicaState.READY] * 2
    assert clock.monotonic() == 0


@pytest.mark.parametrize("fault", ["hung up", "forgotten"])
def test_a_server_that_ends_every_watch_is_not_asked_without_pause(
    api: FakeKubernetes, target: KubernetesTarget, clock: ManualClock, fault: str
) -> None:
    api.script(NAME, NEVER_READY)
    target.launch(launch())
    for round_ in range(3):
        target.replicas("flights", 1)
        if fault == "hung up":
            api.faults.watch_ends_after = 0
        else:
            api.put({"kind": "ConfigMap", "metadata": {"name": f"c{round_}"}, "data": {}})
            api.compact()
        target.wait("flights", 1, timedelta(seconds=30), clock)
    assert clock.monotonic() >= 3


NEEDED = [
    ("patch", "deployments"),
    ("create", "deployments"),
    ("patch", "services"),
    ("patch", "poddisruptionbudgets"),
    ("get", "deployments"),
    ("list", "pods"),
    ("list", "events"),
    ("list", "deployments"),
    ("delete", "deployments"),
    ("delete", "services"),
    ("create", "pods/proxy"),
    ("watch", "pods"),
]


@pytest.mark.parametrize(("verb", "resource"), NEEDED)
def test_a_right_that_is_missing_is_named(
    api: FakeKubernetes, target: KubernetesTarget, clock: ManualClock, tmp_path: Path, verb: str, resource: str
) -> None:
    api.answer_pods(lambda request, target: Proxied(200, b"{}"))
    api.script(NAME, NEVER_READY)
    if resource != "pods/proxy" and verb in {"list", "watch", "delete"}:
        target.launch(launch())
        target.replicas("flights", 1)
    api.faults.forbid(verb, resource)
    (tmp_path / "new").mkdir()
    cluster = Cluster.of(kubeconfig=api.kubeconfig(tmp_path / "new" / "kubeconfig"))
    target = KubernetesTarget(cluster, KubernetesSection(image="seatrial:1"), "http://mlflow", clock)

    def all_of_it() -> None:
        target.launch(launch())
        for replica in target.replicas("flights", 1):
            target.ask(replica, "/invocations", b"{}")
        target.wait("flights", 1, timedelta(seconds=1), clock)
        target.versions("flights")
        target.retire("flights", 1, DRAIN)

    said = refused(ClusterRefused, all_of_it)
    assert re.search(rf'cannot {verb} resource "{resource}"', said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_object_of_our_name_is_refused_and_left_as_it_is(
    api: FakeKubernetes, target: KubernetesTarget, kind: str
) -> None:
    labels = labels_of("trains", 1)
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "theirs", "image": "theirs:1"}]}}
    specs: dict[str, Any] = {
        "Deployment": {"selector": {"matchLabels": labels}, "template": template},
        "Service": {"selector": labels, "ports": [{"port": 80}]},
        "PodDisruptionBudget": {"selector": {"matchLabels": labels}, "maxUnavailable": 1},
    }
    api.put({"kind": kind, "metadata": {"name": NAME, "labels": labels}, "spec": specs[kind]})
    theirs = api.object(kind, NAME)
    said = refused(ClusterRefused, lambda: target.launch(launch()))
    assert f"{kind} {NAME} in namespace default is not Seatrial's" in said
    assert [each for each in KINDS if api.objects(each)] == [kind], "something was begun"
    target.retire("flights", 1, DRAIN)
    assert api.object(kind, NAME) == theirs


def test_replicas_are_left_to_an_autoscaler(api: FakeKubernetes, cluster: Cluster, clock: ManualClock) -> None:
    section = KubernetesSection(image="seatrial:1", autoscaling=AutoscalingSection(most=8))
    target = KubernetesTarget(cluster, section, "http://mlflow", clock)

    target.launch(launch())
    api.autoscale(NAME, 5)
    target.launch(launch())
    assert len(states(target)) == 5
    api.script(NAME, NEVER_READY)
    target.launch(launch())
    assert len(states(target)) == 5
    without = KubernetesTarget(cluster, KubernetesSection(image="seatrial:1"), "http://mlflow", clock)
    without.launch(launch(3))
    assert (len(states(without)), api.objects("HorizontalPodAutoscaler")) == (3, [])
    target.launch(launch())
    [autoscaler] = api.objects("HorizontalPodAutoscaler")
    assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (2, 8)
    target.retire("flights", 1, DRAIN)
    assert api.objects("HorizontalPodAutoscaler") == []
    assert nothing_of_ours(api)


def test_what_others_changed_in_our_objects_is_taken_back_and_what_they_added_stays(
    api: FakeKubernetes, target: KubernetesTarget
) -> None:
    target.launch(launch())
    found = api.object("Service", NAME)
    assert found is not None
    found["spec"]["selector"]["seatrial.dev/version"] = "7"
    found["metadata"]["annotations"] = {"example.net/theirs": "1"}
    api.put(found)
    target.launch(launch())
    now = api.object("Service", NAME)
    assert now is not None
    assert now["spec"]["selector"]["seatrial.dev/version"] == "1"
    assert now["metadata"]["annotations"] == {"example.net/theirs": "1"}


def test_a_deployment_that_vanishes_in_the_middle_of_a_launch_is_made_anew(
    api: FakeKubernetes, target: KubernetesTarget
) -> None:
    target.launch(launch())
    once(api, "PATCH", "deployments", lambda: api.remove("Deployment", NAME))
    target.launch(launch(3))
    assert states(target) == [ReplicaState.READY] * 3


def test_what_is_left_of_a_pod_that_was_evicted_is_no_server_that_failed(
    api: FakeKubernetes, target: KubernetesTarget
) -> None:
    target.launch(launch())
    found = api.object("Pod", target.replicas("flights", 1)[0].name)
    assert found is not None
    remains = {"name": f"{NAME}-evicted", "labels": found["metadata"]["labels"]}
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    with api.standing_still():
        api.put({"kind": "Pod", "metadata": remains, "spec": found["spec"], "status": status})
        assert sorted(states(target)) == [*[ReplicaState.READY] * 2, ReplicaState.STOPPING]
        target.launch(launch())
    assert states(target) == [ReplicaState.READY] * 2


def test_a_node_is_emptied_of_pods_that_serve_nobody_whatever_else_is_amiss(
    api: FakeKubernetes, target: KubernetesTarget
) -> None:
    target.launch(launch(1))
    [budget] = api.objects("PodDisruptionBudget")
    assert (budget["spec"]["maxUnavailable"], budget["spec"]["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
