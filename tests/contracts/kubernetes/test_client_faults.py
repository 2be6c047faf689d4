"""What the client makes of an API server that forgets, hangs up, or loses its answers."""

from collections.abc import Callable

import pytest

from deployments.cluster import ApiError, Cluster, Conflicting, Expired, resource_client
from deployments.cluster.resource_kinds import CONFIG_MAP, POD
from tests.contracts.kubernetes.breaking import once
from tests.fakes.kubernetes import FakeKubernetes


def config(name: str, **data: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "data": data}


def names(found: list[dict[str, object]]) -> list[object]:
    return [each["metadata"]["name"] for each in found]  # type: ignore[index]


def test_a_list_that_is_forgotten_between_two_pages_is_read_anew(
    api: FakeKubernetes, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_client, "_PAGE", 2)
    for number in range(5):
        cluster.create(CONFIG_MAP, config(f"c{number}"))
    pages = 0

    def forget(_: object) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            cluster.delete(CONFIG_MAP, "c0")
            api.compact()

    api.faults.before_each = lambda request: forget(request) if request.method == "GET" else None
    found, since = cluster.list(CONFIG_MAP)
    assert names(found) == ["c1", "c2", "c3", "c4"]
    assert since


@pytest.mark.parametrize("as_status", [True, False], ids=["as an answer", "as an event"])
def test_a_watch_from_a_forgotten_version_says_so(api: FakeKubernetes, cluster: Cluster, as_status: bool) -> None:
    _, since = cluster.list(CONFIG_MAP)
    cluster.create(CONFIG_MAP, config("c"))
    cluster.merge(CONFIG_MAP, "c", {"data": {"a": "1"}})
    api.compact()
    api.faults.gone_as_status = as_status
    with pytest.raises(Expired, match="too old resource version"):
        list(cluster.watch(CONFIG_MAP, since, 5))


@pytest.mark.parametrize("cleanly", [True, False])
def test_a_watch_that_breaks_off_ends_after_what_was_seen(api: FakeKubernetes, cluster: Cluster, cleanly: bool) -> None:
    _, since = cluster.list(CONFIG_MAP)
    cluster.create(CONFIG_MAP, config("a"))
    cluster.create(CONFIG_MAP, config("b"))
    api.faults.watch_ends_after, api.faults.watch_ends_cleanly = 1, cleanly
    assert [(kind, each["metadata"]["name"]) for kind, each in cluster.watch(CONFIG_MAP, since, 5)] == [("ADDED", "a")]


def test_a_write_whose_answer_is_lost_is_repeated_without_harm(api: FakeKubernetes, cluster: Cluster) -> None:
    api.faults.lose_next_answers(1)
    cluster.apply(CONFIG_MAP, config("c", a="1"))
    api.faults.lose_next_answers(1)
    cluster.merge(CONFIG_MAP, "c", {"data": {"b": "2"}})
    assert api.object("ConfigMap", "c")["data"] == {"a": "1", "b": "2"}  # type: ignore[index]
    api.faults.lose_next_answers(1, "DELETE")
    cluster.delete(CONFIG_MAP, "c")
    assert api.object("ConfigMap", "c") is None


def test_a_creation_or_replacement_whose_answer_is_lost_meets_itself(api: FakeKubernetes, cluster: Cluster) -> None:
    api.faults.lose_next_answers(1)
    with pytest.raises(Conflicting):
        cluster.create(CONFIG_MAP, config("c"))
    found = cluster.get(CONFIG_MAP, "c")
    assert found is not None
    api.faults.lose_next_answers(1, "PUT")
    with pytest.raises(Conflicting):
        cluster.replace(CONFIG_MAP, {**found, "data": {"a": "1"}})
    assert api.object("ConfigMap", "c")["data"] == {"a": "1"}  # type: ignore[index]


def test_a_deletion_spares_another_object_of_the_same_name(api: FakeKubernetes, cluster: Cluster) -> None:
    former = cluster.create(CONFIG_MAP, config("c"))

    def replaced() -> None:
        api.remove("ConfigMap", "c")
        api.put({"kind": "ConfigMap", **config("c", a="another")})

    once(api, "DELETE", "configmaps", replaced)
    cluster.delete(CONFIG_MAP, "c", uid=former["metadata"]["uid"])
    assert api.object("ConfigMap", "c")["data"] == {"a": "another"}  # type: ignore[index]


def test_a_name_with_a_path_in_it_reaches_no_other_object(api: FakeKubernetes, cluster: Cluster) -> None:
    cluster.create(CONFIG_MAP, config("other"))
    cluster.create(CONFIG_MAP, config("c"))
    assert cluster.get(CONFIG_MAP, "c/../other") is None
    cluster.delete(CONFIG_MAP, "c/../other")
    assert names(api.objects("ConfigMap")) == ["c", "other"]


FAULTS: dict[str, Callable[[FakeKubernetes], None]] = {
    "busy": lambda api: api.faults.fail_next(9, 429),
    "broken": lambda api: api.faults.fail_next(9, 500),
    "forbidden": lambda api: api.faults.forbid("*", "*"),
    "full": lambda api: api.faults.limit("configmaps", 0),
    "conflicting": lambda api: api.faults.conflict_on("configmaps"),
    "lost": lambda api: api.faults.lose_next_answers(9),
    "away": lambda api: api.go_away(),
    "resetting": lambda api: api.go_away(resets=True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_error_tells_a_credential_or_what_was_sent(api: FakeKubernetes, cluster: Cluster, fault: str) -> None:
    FAULTS[fault](api)
    with pytest.raises(ApiError) as caught:
        cluster.create(CONFIG_MAP, config("c", a="hush"))
        cluster.replace(CONFIG_MAP, config("c", a="hush"))
    told: BaseException | None = caught.value
    while told is not None:
        assert "fake-token" not in f"{told} {told!r}"
        assert "hush" not in f"{told} {told!r}"
        told = told.__cause__ or told.__context__
    if fault in {"away", "resetting"}:
        api.come_back()


def test_a_pod_that_does_not_answer_is_told_from_a_server_that_does_not(api: FakeKubernetes, cluster: Cluster) -> None:
    api.put({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    with pytest.raises(ApiError, match="trying to reach service"):
        cluster.proxied("p", 8081, "GET", "/x", None, 5)
    with pytest.raises(ApiError, match='pods "q" not found'):
        cluster.proxied("q", 8081, "GET", "/x", None, 5)
    assert cluster.get(POD, "p") is not None
