"""The official client of Kubernetes takes the fake for a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ConflictError

from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.fakes.kubernetes.asking import config_map, deployment, route, service


@pytest.fixture
def connection(api: FakeKubernetes, tmp_path: Path) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(api.kubeconfig(tmp_path / "kubeconfig"))) as connection:
        yield connection


@pytest.fixture
def discovered(connection: client.ApiClient, tmp_path: Path) -> dynamic.DynamicClient:
    return dynamic.DynamicClient(connection, cache_file=str(tmp_path / "discovered"))


def test_its_typed_calls_work(connection: client.ApiClient) -> None:
    core, apps = client.CoreV1Api(connection), client.AppsV1Api(connection)
    core.create_namespaced_config_map("default", config_map(a="1"))
    assert core.read_namespaced_config_map("settings", "default").data == {"a": "1"}
    apps.create_namespaced_deployment("default", deployment(replicas=2))
    live = apps.read_namespaced_deployment("web", "default")
    assert (live.status.ready_replicas, live.spec.strategy.type) == (2, "RollingUpdate")
    pods = core.list_namespaced_pod("default", label_selector="app=web").items
    assert [pod.status.phase for pod in pods] == ["Running", "Running"]
    core.create_namespaced_service("default", service())
    slices = client.DiscoveryV1Api(connection).list_namespaced_endpoint_slice("default").items
    assert len(slices[0].endpoints) == 2
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 1}})
    assert len(core.list_namespaced_pod("default").items) == 1
    apps.delete_namespaced_deployment("web", "default")
    assert core.list_namespaced_pod("default").items == []
    with pytest.raises(ApiException) as caught:
        apps.read_namespaced_deployment("web", "default")
    assert (caught.value.status, caught.value.reason) == (404, "Not Found")


def test_it_applies(discovered: dynamic.DynamicClient) -> None:
    deployments = discovered.resources.get(api_version="apps/v1", kind="Deployment")
    made = deployments.server_side_apply(body=deployment(), namespace="default", field_manager="seatrial")
    assert made.metadata.managedFields[0].manager == "seatrial"
    wanted = deployment(replicas=3)
    with pytest.raises(ConflictError) as caught:
        deployments.server_side_apply(body=wanted, namespace="default", field_manager="other")
    assert 'conflict with \\"seatrial\\": .spec.replicas' in caught.value.body
    forced = deployments.server_side_apply(
        body=wanted, namespace="default", field_manager="other", force_conflicts=True
    )
    assert forced.spec.replicas == 3


def test_it_applies_custom_kinds(discovered: dynamic.DynamicClient) -> None:
    routes = discovered.resources.get(api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute")
    made = routes.server_side_apply(body=route(), namespace="default", field_manager="seatrial")
    assert made.spec.rules[0].backendRefs[0].weight == 1
    assert routes.get(namespace="default").items[0].metadata.name == "flights"


def test_it_does_not_find_what_is_switched_off(api: FakeKubernetes, discovered: dynamic.DynamicClient) -> None:
    api.faults.switched_off_groups.add("gateway.networking.k8s.io")
    discovered.resources.invalidate_cache()
    with pytest.raises(dynamic.exceptions.ResourceNotFoundError):
        discovered.resources.get(api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute")


def test_it_watches_a_rollout_to_its_end(connection: client.ApiClient) -> None:
    apps = client.AppsV1Api(connection)
    since = apps.list_namespaced_deployment("default").metadata.resource_version
    apps.create_namespaced_deployment("default", deployment(replicas=2))
    watching = watch.Watch()
    seen = []
    stream = watching.stream(apps.list_namespaced_deployment, "default", resource_version=since, timeout_seconds=20)
    for event in stream:
        seen.append(event["object"].status.ready_replicas or 0)
        if seen[-1] == 2:
            watching.stop()
    assert (seen[0], seen[-1]) == (0, 2)


def test_it_is_told_that_its_version_is_gone(api: FakeKubernetes, connection: client.ApiClient) -> None:
    core = client.CoreV1Api(connection)
    core.create_namespaced_config_map("default", config_map())
    api.compact()
    with pytest.raises(ApiException) as caught:
        next(watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version="1", timeout_seconds=1))
    assert caught.value.status == 410


def test_it_pages(connection: client.ApiClient) -> None:
    core = client.CoreV1Api(connection)
    for number in range(5):
        core.create_namespaced_config_map("default", config_map(f"c{number}"))
    names: list[str] = []
    token = None
    while token != "":
        page = core.list_namespaced_config_map("default", limit=2, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert names == ["c0", "c1", "c2", "c3", "c4"]


def test_it_reads_logs_and_reaches_for_pods(api: FakeKubernetes, connection: client.ApiClient) -> None:
    core = client.CoreV1Api(connection)
    api.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"containers": [{"name": "c"}]}})
    assert core.read_namespaced_pod_log("one", "default") in ("", None)
    with pytest.raises(ApiException) as caught:
        core.connect_get_namespaced_pod_proxy_with_path("one:8080", "default", "metrics")
    assert caught.value.status == 503
