"""Objects that come to life: what a client sees of the controllers, the scheduler and the kubelet."""

import json
from typing import Any

import pytest

from tests.fakes.kubernetes import (
    CRASHING,
    IMAGE_MISSING,
    NEVER_READY,
    PROBE_FAILING,
    READY,
    FakeKubernetes,
    Fate,
    PodScript,
    Verdict,
)
from tests.fakes.kubernetes.kinds import Json
from tests.unit.fakes.kubernetes.asking import Caller, deployment, gateway, path_of, route, service

Conditions = dict[str, tuple[str, str]]


def conditions(thing: Json | None) -> Conditions:
    assert thing is not None
    return {each["type"]: (each["status"], each.get("reason", "")) for each in thing["status"].get("conditions", [])}


def only_pod(api: FakeKubernetes) -> Json:
    (pod,) = api.objects("Pod")
    return pod


def events_of(ask: Caller, name: str) -> list[tuple[str, str]]:
    listed = ask("GET", path_of("Event"), fieldSelector=f"involvedObject.name={name},type=Warning")[1]
    return [(event["reason"], event["message"]) for event in listed["items"]]


def test_a_deployment_gets_pods_that_are_ready(ask: Caller) -> None:
    ask.create(deployment(replicas=2))
    live = ask.get("Deployment", "web")
    counts = {name: live["status"][name] for name in ("replicas", "updatedReplicas", "readyReplicas")}
    assert counts == {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    assert live["status"]["observedGeneration"] == live["metadata"]["generation"] == 1
    assert conditions(live) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    (replica_set,) = ask.api.objects("ReplicaSet")
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == live["metadata"]["uid"]
    pods = ask.api.objects("Pod")
    assert len({pod["status"]["podIP"] for pod in pods}) == 2
    for pod in pods:
        assert pod["metadata"]["ownerReferences"][0]["uid"] == replica_set["metadata"]["uid"]
        assert pod["metadata"]["labels"]["app"] == "web"
        assert conditions(pod)["Ready"][0] == "True"


def test_without_controllers_nothing_comes_to_life(ask_bare: Caller) -> None:
    ask_bare.create(deployment())
    assert ask_bare.api.objects("ReplicaSet") == []
    assert ask_bare.get("Deployment", "web")["status"] == {}


def test_a_new_image_replaces_the_pods_and_keeps_enough_of_them(ask: Caller) -> None:
    ask.create(deployment(replicas=4))
    since = ask("GET", path_of("Deployment"))[1]["metadata"]["resourceVersion"]
    ask.apply(deployment(replicas=4, image="web:2"), force=True)
    images = {pod["spec"]["containers"][0]["image"] for pod in ask.api.objects("Pod")}
    assert images == {"web:2"}
    assert ask.get("Deployment", "web")["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "2"}
    query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "0.1"}
    answer = ask.wire.get(ask.api.url + path_of("Deployment"), params=query)
    available = [json.loads(line)["object"]["status"].get("availableReplicas", 0) for line in answer.text.splitlines()]
    assert min(available) >= 3


def test_a_bad_image_leaves_the_old_pods_serving(ask: Caller) -> None:
    ask.create(deployment(replicas=2))
    old = {pod["metadata"]["name"] for pod in ask.api.objects("Pod")}
    ask.api.script("web", NEVER_READY)
    for name in old:
        ask.api.script(name, READY)
    ask.apply(deployment(replicas=2, image="web:broken"), force=True)
    ready = {pod["metadata"]["name"] for pod in ask.api.objects("Pod") if conditions(pod)["Ready"][0] == "True"}
    assert ready == old
    live = ask.get("Deployment", "web")
    assert (live["status"]["updatedReplicas"], live["status"]["readyReplicas"]) == (1, 2)
    assert conditions(live)["Progressing"] == ("True", "ReplicaSetUpdated")
    ask.api.exceed_deadline("web")
    assert conditions(ask.get("Deployment", "web"))["Progressing"] == ("False", "ProgressDeadlineExceeded")


def test_a_cure_replaces_what_never_got_ready(ask: Caller) -> None:
    ask.api.script("web", NEVER_READY)
    ask.create(deployment(replicas=2, image="web:broken"))
    assert conditions(ask.get("Deployment", "web"))["Available"] == ("False", "MinimumReplicasUnavailable")
    ask.api.script("web", READY)
    ask.apply(deployment(replicas=2, image="web:2"), force=True)
    assert {pod["spec"]["containers"][0]["image"] for pod in ask.api.objects("Pod")} == {"web:2"}


def test_a_rollout_stands_still_while_the_controllers_do(ask: Caller) -> None:
    with ask.api.standing_still():
        ask.create(deployment())
        assert ask.get("Deployment", "web")["status"] == {}
    assert ask.get("Deployment", "web")["status"]["readyReplicas"] == 2


def test_all_pods_go_before_new_ones_come_if_that_is_the_strategy(ask: Caller) -> None:
    thing = deployment(replicas=2)
    thing["spec"]["strategy"] = {"type": "Recreate"}
    ask.create(thing)
    since = ask("GET", path_of("Pod"))[1]["metadata"]["resourceVersion"]
    ask.merge("Deployment", "web", {"spec": {"template": {"metadata": {"labels": {"new": "1"}}}}})
    query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "0.1"}
    lines = ask.wire.get(ask.api.url + path_of("Pod"), params=query).text.splitlines()
    types = [json.loads(line)["type"] for line in lines]
    assert types.count("ADDED") == types.count("DELETED") == 2
    assert types.index("ADDED") > max(place for place, type_ in enumerate(types) if type_ == "DELETED")


@pytest.mark.parametrize("replicas", [0, 1, 5])
def test_there_are_as_many_pods_as_wanted(ask: Caller, replicas: int) -> None:
    ask.create(deployment(replicas=2))
    ask.merge("Deployment", "web", {"spec": {"replicas": replicas}})
    assert len(ask.api.objects("Pod")) == replicas
    assert ask.get("Deployment", "web")["status"].get("readyReplicas", 0) == replicas


def test_a_killed_pod_is_replaced(ask: Caller) -> None:
    ask.create(deployment(replicas=1))
    first = only_pod(ask.api)["metadata"]["name"]
    code, last = ask("DELETE", path_of("Pod", first))
    assert (code, last["metadata"]["name"], "deletionTimestamp" in last["metadata"]) == (200, first, True)
    assert only_pod(ask.api)["metadata"]["name"] != first


def container_state(pod: Json) -> dict[str, Any]:
    state: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]
    return state


def test_a_missing_image_is_told_by_the_pod_and_its_events(ask: Caller) -> None:
    ask.api.script("web", IMAGE_MISSING)
    ask.create(deployment(replicas=1, image="registry.example/web:9"))
    pod = only_pod(ask.api)
    assert pod["status"]["phase"] == "Pending"
    assert container_state(pod)["waiting"]["reason"] == "ImagePullBackOff"
    told = events_of(ask, pod["metadata"]["name"])
    missing = "registry.example/web:9: not found"
    assert ("Failed", f'Failed to pull image "registry.example/web:9": {missing}') in told
    assert ("Failed", "Error: ErrImagePull") in told


def test_a_pod_without_a_node_is_pending_and_says_why(ask: Caller) -> None:
    message = "0/3 nodes are available: 3 Insufficient cpu."
    ask.api.script("web", PodScript(Fate.UNSCHEDULABLE, message=message))
    ask.create(deployment(replicas=1))
    pod = only_pod(ask.api)
    assert conditions(pod) == {"PodScheduled": ("False", "Unschedulable")}
    assert "nodeName" not in pod["spec"]
    assert "podIP" not in pod["status"]
    assert events_of(ask, pod["metadata"]["name"]) == [("FailedScheduling", message)]
    ask.api.script("web", READY)
    assert conditions(only_pod(ask.api))["Ready"][0] == "True"


def test_a_crash_tells_its_exit_code_and_its_last_words(ask: Caller) -> None:
    ask.api.script("web", PodScript(Fate.CRASHING, exit_code=137, reason="OOMKilled", message="killed", restarts=4))
    ask.create(deployment(replicas=1))
    status = only_pod(ask.api)["status"]["containerStatuses"][0]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    ended = status["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (137, "OOMKilled", "killed")
    assert (status["restartCount"], status["ready"]) == (4, False)
    assert [reason for reason, _ in events_of(ask, only_pod(ask.api)["metadata"]["name"])] == ["BackOff"]


def test_a_failing_probe_is_told_by_an_event(ask: Caller) -> None:
    ask.api.script("web", PROBE_FAILING)
    ask.create(deployment(replicas=1))
    pod = only_pod(ask.api)
    assert (pod["status"]["phase"], conditions(pod)["Ready"]) == ("Running", ("False", "ContainersNotReady"))
    assert [reason for reason, _ in events_of(ask, pod["metadata"]["name"])] == ["Unhealthy"]


def test_a_script_for_one_pod_leaves_the_others_alone(ask: Caller) -> None:
    ask.create(deployment(replicas=2))
    first, second = (pod["metadata"]["name"] for pod in ask.api.objects("Pod"))
    ask.api.script(first, CRASHING)
    ready = {pod["metadata"]["name"]: conditions(pod)["Ready"][0] for pod in ask.api.objects("Pod")}
    assert ready == {first: "False", second: "True"}
    assert ask.get("Deployment", "web")["status"]["readyReplicas"] == 1


def test_the_pods_of_a_lost_node_are_replaced_and_end_when_it_is_back(ask: Caller) -> None:
    ask.create(deployment(replicas=2))
    assert {pod["spec"]["nodeName"] for pod in ask.api.objects("Pod")} == {"node-1", "node-2"}
    ask.api.lose_node("node-1")
    pods = ask.api.objects("Pod")
    lost = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
    assert len(pods) == 3
    assert [pod["spec"]["nodeName"] for pod in lost] == ["node-1"]
    assert conditions(lost[0])["Ready"] == ("False", "NodeNotReady")
    assert ask.get("Deployment", "web")["status"]["readyReplicas"] == 2
    ask.api.find_node("node-1")
    assert len(ask.api.objects("Pod")) == 2


def test_deleting_a_deployment_takes_its_pods_along(ask: Caller) -> None:
    ask.create(deployment())
    ask.create(service())
    ask("DELETE", path_of("Deployment", "web"))
    ask("DELETE", path_of("Service", "web"))
    for kind in ("Deployment", "ReplicaSet", "Pod", "EndpointSlice"):
        assert ask.api.objects(kind) == []


@pytest.mark.parametrize(("policy", "left"), [("Foreground", 0), ("Background", 0), ("Orphan", 1)])
def test_a_deletion_leaves_behind_what_its_policy_says(ask: Caller, policy: str, left: int) -> None:
    ask.create(deployment())
    ask("DELETE", path_of("Deployment", "web"), {"propagationPolicy": policy})
    assert ask.api.objects("Deployment") == []
    sets = ask.api.objects("ReplicaSet")
    assert len(sets) == left
    assert all(not replica_set["metadata"]["ownerReferences"] for replica_set in sets)


def test_a_service_has_endpoints_of_its_pods(ask: Caller) -> None:
    ask.create(service())
    ask.create(deployment(replicas=2))
    slice_ = ask("GET", path_of("EndpointSlice"), labelSelector="kubernetes.io/service-name=web")[1]["items"][0]
    assert slice_["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
    addresses = {pod["status"]["podIP"] for pod in ask.api.objects("Pod")}
    assert {endpoint["addresses"][0] for endpoint in slice_["endpoints"]} == addresses
    assert all(endpoint["conditions"]["ready"] for endpoint in slice_["endpoints"])
    ask.api.script(ask.api.objects("Pod")[0]["metadata"]["name"], NEVER_READY)
    ready = [each["conditions"]["ready"] for each in ask.api.objects("EndpointSlice")[0]["endpoints"]]
    assert sorted(ready) == [False, True]


def test_a_service_that_selects_others_gets_their_endpoints(ask: Caller) -> None:
    for name in ("blue", "green"):
        ask.create(deployment(name, replicas=1))
    ask.create(service("blue"))
    ask.merge("Service", "blue", {"spec": {"selector": {"app": "green"}}})
    (endpoint,) = ask.api.objects("EndpointSlice")[0]["endpoints"]
    assert endpoint["targetRef"]["name"].startswith("green-")


def route_conditions(ask: Caller) -> Conditions:
    (parent,) = ask.get("HTTPRoute", "flights")["status"]["parents"]
    return {each["type"]: (each["status"], each["reason"]) for each in parent["conditions"]}


def test_a_route_is_accepted_by_its_gateway(ask: Caller) -> None:
    ask.api.put(gateway())
    ask.create(service())
    ask.create(route())
    assert route_conditions(ask) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    ask.merge("HTTPRoute", "flights", {"spec": {"hostnames": ["a.example"]}})
    live = ask.get("HTTPRoute", "flights")
    observed = {each["observedGeneration"] for each in live["status"]["parents"][0]["conditions"]}
    assert observed == {live["metadata"]["generation"]} == {2}
    assert ask.get("Gateway", "front")["status"]["listeners"][0]["attachedRoutes"] == 1


def test_a_route_to_a_service_that_is_missing_is_not_resolved_until_it_comes(ask: Caller) -> None:
    ask.api.put(gateway())
    ask.create(route())
    assert route_conditions(ask)["ResolvedRefs"] == ("False", "BackendNotFound")
    ask.create(service())
    assert route_conditions(ask)["ResolvedRefs"] == ("True", "ResolvedRefs")


def test_a_route_without_a_gateway_has_no_status(ask: Caller) -> None:
    ask.create(route())
    assert "status" not in ask.get("HTTPRoute", "flights")


def test_a_route_of_another_namespace_is_let_in_only_if_the_listener_says_so(ask: Caller) -> None:
    front = gateway()
    front["metadata"]["namespace"] = "kube-system"
    ask.api.put(front)
    ask.create(service())
    thing = route()
    thing["spec"]["parentRefs"][0]["namespace"] = "kube-system"
    ask.create(thing)
    assert route_conditions(ask)["Accepted"] == ("False", "NotAllowedByListeners")
    front["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": {"from": "All"}}
    ask.api.put(front)
    assert route_conditions(ask)["Accepted"] == ("True", "Accepted")


def test_a_backend_elsewhere_needs_a_grant(ask: Caller) -> None:
    ask.api.put(gateway())
    other = service()
    other["metadata"]["namespace"] = "kube-system"
    ask.create(other)
    thing = route()
    thing["spec"]["rules"][0]["backendRefs"][0]["namespace"] = "kube-system"
    ask.create(thing)
    assert route_conditions(ask)["ResolvedRefs"] == ("False", "RefNotPermitted")
    origin = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "in", "namespace": "kube-system"},
        "spec": {"from": [origin], "to": [{"group": "", "kind": "Service"}]},
    }
    ask.create(grant)
    assert route_conditions(ask)["ResolvedRefs"] == ("True", "ResolvedRefs")


def test_what_a_gateway_thinks_can_be_scripted(ask: Caller) -> None:
    ask.api.put(gateway())
    ask.create(service())
    ask.create(route())
    ask.api.script_route("flights", Accepted=Verdict(holds=False, reason="UnsupportedValue", message="no mirrors"))
    assert route_conditions(ask)["Accepted"] == ("False", "UnsupportedValue")
    ask.api.script_route("flights")
    assert route_conditions(ask)["Accepted"] == ("True", "Accepted")


def test_a_gateway_that_is_asleep_leaves_the_old_generation_in_the_status(ask: Caller) -> None:
    ask.api.put(gateway())
    ask.create(service())
    ask.create(route())
    ask.api.ignore_route("flights")
    ask.merge("HTTPRoute", "flights", {"spec": {"hostnames": ["a.example"]}})
    live = ask.get("HTTPRoute", "flights")
    assert live["metadata"]["generation"] == 2
    assert {each["observedGeneration"] for each in live["status"]["parents"][0]["conditions"]} == {1}


def test_a_budget_stands_in_the_way_of_an_eviction(ask: Caller) -> None:
    ask.create(deployment(replicas=2))
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    }
    ask.create(budget)
    assert ask.get("PodDisruptionBudget", "web")["status"]["disruptionsAllowed"] == 0
    name = ask.api.objects("Pod")[0]["metadata"]["name"]
    code, status = ask("POST", path_of("Pod", name) + "/eviction", {})
    assert (code, status["reason"]) == (429, "TooManyRequests")
    ask.merge("PodDisruptionBudget", "web", {"spec": {"minAvailable": 1}})
    assert ask("POST", path_of("Pod", name) + "/eviction", {})[0] == 201
    assert name not in {pod["metadata"]["name"] for pod in ask.api.objects("Pod")}
