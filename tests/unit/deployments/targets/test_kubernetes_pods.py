"""What a pod's status and events mean: ready, starting and why not yet, or hopeless and why."""

from typing import Any

import pytest

from deployments.targets.kubernetes.pod_status import missing_replica, replica_of, too_late
from deployments.targets.protocol import ReplicaState


def pod(*, ready: bool = False, address: str = "10.1.2.3", **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}, *status.pop("conditions", [])]
    return {
        "metadata": {"name": "model-flights-v1-abc", "uid": "u"},
        "status": {"phase": "Running", "podIP": address, "conditions": conditions, **status},
    }


def waiting(reason: str, message: str = "", name: str = "server", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"lastState": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}


def test_a_ready_pod_is_ready_at_its_address() -> None:
    replica = replica_of(pod(ready=True))
    assert (replica.state, replica.address, replica.detail) == (ReplicaState.READY, "10.1.2.3:8080", "")


def test_an_address_of_ipv6_is_told_as_endpoints_tell_it() -> None:
    assert replica_of(pod(ready=True, address="fd00::7")).address == "[fd00::7]:8080"


def test_a_pod_that_is_being_deleted_is_stopping_however_ready_it_is() -> None:
    going = pod(ready=True)
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    assert replica_of(going).state is ReplicaState.STOPPING


def test_a_pod_that_its_node_ended_is_on_its_way_out_and_says_why() -> None:
    replica = replica_of(pod(phase="Failed", reason="Evicted", message="The node was low on memory"))
    assert (replica.state, replica.detail) == (ReplicaState.STOPPING, "The node was low on memory")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({"containerStatuses": [waiting("ImagePullBackOff", 'Back-off pulling image "x:1"')]}, 'pulling image "x:1"'),
        ({"containerStatuses": [waiting("InvalidImageName", "bad name")]}, "InvalidImageName: bad name"),
        ({"containerStatuses": [waiting("CrashLoopBackOff", "back-off 10s", **ended(137, reason="OOMKilled"))]}, "137"),
        (
            {"containerStatuses": [waiting("CreateContainerConfigError", 'secret "s" not found')]},
            'secret "s" not found',
        ),
        ({"initContainerStatuses": [waiting("CrashLoopBackOff", name="model", **ended(5))]}, "container model"),
        ({"containerStatuses": [{"name": "server", "state": {}, "restartCount": 1, **ended(2)}]}, "exit code 2"),
    ],
)
def test_what_no_waiting_cures_has_failed_with_its_reason(status: dict[str, Any], says: str) -> None:
    replica = replica_of(pod(**status))
    assert replica.state is ReplicaState.FAILED
    assert says in replica.detail


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: insufficient cpu"}]},
            "not scheduled: 0/3 nodes: insufficient cpu",
        ),
        (
            {"containerStatuses": [waiting("ErrImagePull", "connection refused")]},
            "container server: ErrImagePull: connection refused",
        ),
        ({"containerStatuses": [waiting("ContainerCreating")]}, ""),
        ({"containerStatuses": [{"name": "server", "state": {"running": {}}, "restartCount": 1, **ended(1)}]}, ""),
    ],
)
def test_what_may_still_come_is_starting_and_says_what_it_waits_for(status: dict[str, Any], says: str) -> None:
    replica = replica_of(pod(**status))
    assert replica.state is ReplicaState.STARTING
    assert replica.detail == says


def test_the_newest_warning_says_why_a_running_pod_is_not_ready() -> None:
    events = [
        {"type": "Normal", "reason": "Started", "message": "started"},
        {"type": "Warning", "reason": "Unhealthy", "message": "Startup probe failed: 503"},
    ]
    assert replica_of(pod(), events).detail == "Unhealthy: Startup probe failed: 503"


def test_a_pod_without_an_address_is_told_by_its_name() -> None:
    assert replica_of(pod(address="")).address == "model-flights-v1-abc:8080"


def test_a_pod_that_a_quota_forbids_has_failed_and_one_that_is_only_to_come_has_not() -> None:
    refusal = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
    refused = missing_replica("model-flights-v1", {"status": {"conditions": [refusal]}}, 0)
    to_come = missing_replica("model-flights-v1", {"status": {}}, 1)
    assert (refused.state, refused.detail) == (ReplicaState.FAILED, "exceeded quota: small")
    assert (to_come.state, to_come.detail) == (ReplicaState.STARTING, "")
    assert refused.name != to_come.name


@pytest.mark.parametrize(
    ("status", "reason", "created", "said"),
    [
        ("False", "ProgressDeadlineExceeded", "2026-03-01T12:00:59Z", "timed out"),
        ("False", "ProgressDeadlineExceeded", "2026-03-01T12:01:00Z", ""),
        ("False", "ProgressDeadlineExceeded", "2026-03-01T12:01:01Z", ""),
        ("False", "FailedCreate", "2026-03-01T12:00:59Z", ""),
        ("True", "ReplicaSetUpdated", "2026-03-01T12:00:59Z", ""),
    ],
)
def test_a_pod_is_late_if_it_was_there_when_its_deployments_time_was_over(
    status: str, reason: str, created: str, said: str
) -> None:
    told = {"type": "Progressing", "status": status, "reason": reason, "message": "timed out"}
    deployment = {"status": {"conditions": [told | {"lastTransitionTime": "2026-03-01T12:01:00Z"}]}}
    assert too_late({"metadata": {"creationTimestamp": created}}, deployment) == said


def test_a_deployment_that_has_said_nothing_yet_has_time() -> None:
    assert too_late({"metadata": {"creationTimestamp": "2026-03-01T12:01:00Z"}}, {"metadata": {}}) == ""
