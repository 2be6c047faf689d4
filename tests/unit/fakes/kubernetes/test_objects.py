"""Creating, reading, replacing, patching and deleting, as the API concepts of Kubernetes document it."""

from datetime import UTC, datetime

import pytest

from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.kinds import Json
from tests.unit.fakes.kubernetes.asking import APPLY, MERGE, Caller, config_map, deployment, path_of, route, service

STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"


def test_a_new_object_is_given_what_only_the_server_gives(ask: Caller) -> None:
    metadata = ask.create(config_map(a="1"))["metadata"]
    assert metadata["namespace"] == "default"
    assert len(metadata["uid"]) == 36
    assert int(metadata["resourceVersion"]) > 0
    age = datetime.now(UTC) - datetime.fromisoformat(metadata["creationTimestamp"])
    assert abs(age.total_seconds()) < 10


def test_a_name_is_given_once(ask: Caller) -> None:
    ask.create(config_map())
    code, status = ask("POST", path_of("ConfigMap"), config_map())
    assert (code, status["reason"]) == (409, "AlreadyExists")
    assert status["message"] == 'configmaps "settings" already exists'


def test_a_generated_name_begins_as_asked(ask: Caller) -> None:
    thing = {"metadata": {"generateName": "run-"}, "data": {}}
    names = {ask("POST", path_of("ConfigMap"), thing)[1]["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("run-") and len(name) == 9 for name in names)


def test_what_is_not_there_is_not_found(ask: Caller) -> None:
    code, status = ask("GET", path_of("Deployment", "web"))
    assert code == 404
    assert status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
        "code": 404,
    }


def test_nothing_is_created_in_a_namespace_that_is_not_there(ask: Caller) -> None:
    code, status = ask("POST", path_of("ConfigMap", namespace="moon"), config_map())
    assert (code, status["message"]) == (404, 'namespaces "moon" not found')


def test_an_unknown_group_answers_with_text_and_an_unknown_resource_with_a_status(ask: Caller) -> None:
    assert ask("GET", "/apis/nobody.example/v1/things") == (404, "404 page not found\n")
    code, status = ask("GET", "/apis/apps/v1/namespaces/default/things")
    assert (code, status["message"]) == (404, "the server could not find the requested resource")


def test_a_group_that_is_switched_off_is_not_there(ask: Caller) -> None:
    ask.api.faults.switched_off_groups.add("gateway.networking.k8s.io")
    assert ask("GET", path_of("HTTPRoute", "flights"))[0] == 404
    groups = {group["name"] for group in ask("GET", "/apis")[1]["groups"]}
    assert "gateway.networking.k8s.io" not in groups
    assert "apps" in groups


def test_a_stale_replacement_is_a_conflict(ask: Caller) -> None:
    first = ask.create(config_map(a="1"))
    code, second = ask("PUT", path_of("ConfigMap", "settings"), {**first, "data": {"a": "2"}})
    assert code == 200
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    code, status = ask("PUT", path_of("ConfigMap", "settings"), {**first, "data": {"a": "3"}})
    assert (code, status["reason"]) == (409, "Conflict")
    assert status["message"] == (
        'Operation cannot be fulfilled on configmaps "settings": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert ask.get("ConfigMap", "settings")["data"] == {"a": "2"}


def test_a_replacement_that_names_no_version_wins(ask: Caller) -> None:
    ask.create(config_map(a="1"))
    code, after = ask("PUT", path_of("ConfigMap", "settings"), config_map(b="2"))
    assert (code, after["data"]) == (200, {"b": "2"})


@pytest.mark.parametrize(("kind", "shown"), [("HTTPRoute", "0x0"), ("Lease", '""')])
def test_some_kinds_are_never_replaced_blindly(ask: Caller, kind: str, shown: str) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "flights"}, "spec": {}}
    thing = route() if kind == "HTTPRoute" else lease
    ask.create(thing)
    code, status = ask("PUT", path_of(kind, "flights"), thing)
    assert (code, status["reason"]) == (422, "Invalid")
    assert f"metadata.resourceVersion: Invalid value: {shown}: must be specified for an update" in status["message"]


def test_what_changes_nothing_keeps_its_version(ask: Caller) -> None:
    before = ask.create(deployment())
    live = ask.get("Deployment", "web")
    code, after = ask("PUT", path_of("Deployment", "web"), live)
    assert (code, after["metadata"]) == (200, live["metadata"])
    assert ask.merge("Deployment", "web", {"spec": {"replicas": 2}})[1]["metadata"] == live["metadata"]
    assert before["metadata"]["uid"] == after["metadata"]["uid"]


def test_the_generation_grows_with_the_spec_and_not_with_the_status_or_a_label(ask_bare: Caller) -> None:
    ask = ask_bare
    assert ask.create(deployment())["metadata"]["generation"] == 1
    assert ask.merge("Deployment", "web", {"metadata": {"labels": {"a": "b"}}})[1]["metadata"]["generation"] == 1
    assert ask.merge("Deployment", "web", {"spec": {"replicas": 3}})[1]["metadata"]["generation"] == 2
    path = path_of("Deployment", "web") + "/status"
    code, after = ask("PATCH", path, {"status": {"replicas": 3}}, MERGE)
    assert (code, after["status"], after["metadata"]["generation"]) == (200, {"replicas": 3}, 2)


def test_status_is_written_through_its_subresource_only(ask_bare: Caller) -> None:
    ask = ask_bare
    ask.create({**deployment(), "status": {"replicas": 9}})
    assert ask.get("Deployment", "web")["status"] == {}
    ask.merge("Deployment", "web", {"status": {"replicas": 9}})
    assert ask.get("Deployment", "web")["status"] == {}
    ask("PATCH", path_of("Deployment", "web") + "/status", {"status": {"replicas": 2}, "spec": {"replicas": 7}}, MERGE)
    after = ask.get("Deployment", "web")
    assert (after["status"], after["spec"]["replicas"]) == ({"replicas": 2}, 2)


def test_a_merge_patch_merges_and_takes_away(ask: Caller) -> None:
    ask.create(config_map(a="1", b="2"))
    code, after = ask.merge("ConfigMap", "settings", {"data": {"a": None, "c": "3"}})
    assert (code, after["data"]) == (200, {"b": "2", "c": "3"})


def test_a_patch_that_names_a_version_fails_on_another(ask: Caller) -> None:
    before = ask.create(config_map(a="1"))
    version = {"resourceVersion": before["metadata"]["resourceVersion"]}
    assert ask.merge("ConfigMap", "settings", {"metadata": version, "data": {"a": "2"}})[0] == 200
    assert ask.merge("ConfigMap", "settings", {"metadata": version, "data": {"a": "3"}})[0] == 409


def test_a_json_patch_tests_before_it_writes(ask: Caller) -> None:
    ask.create(config_map(a="1"))
    steps = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/a", "value": "2"}]
    assert ask("PATCH", path_of("ConfigMap", "settings"), steps, JSON_PATCH)[1]["data"] == {"a": "2"}
    code, status = ask("PATCH", path_of("ConfigMap", "settings"), steps, JSON_PATCH)
    assert (code, status["reason"]) == (422, "Invalid")
    assert ask.get("ConfigMap", "settings")["data"] == {"a": "2"}


def test_a_strategic_patch_merges_containers_by_name(ask: Caller) -> None:
    ask.create(deployment())
    containers = [{"name": "model", "image": "web:2"}, {"name": "side", "image": "side:1"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    code, after = ask("PATCH", path_of("Deployment", "web"), patch, STRATEGIC)
    images = {each["name"]: each["image"] for each in after["spec"]["template"]["spec"]["containers"]}
    assert (code, images) == (200, {"model": "web:2", "side": "side:1"})
    assert after["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 8080


def test_a_custom_kind_knows_no_strategic_patch(ask: Caller) -> None:
    ask.create(route())
    code, status = ask("PATCH", path_of("HTTPRoute", "flights"), {"metadata": {"labels": {"a": "b"}}}, STRATEGIC)
    assert (code, status["reason"]) == (415, "UnsupportedMediaType")


def test_nothing_is_kept_of_a_dry_run(ask: Caller) -> None:
    before = ask.api.objects("ConfigMap")
    assert ask("POST", path_of("ConfigMap"), config_map(), dryRun="All")[0] == 201
    path = path_of("Deployment", "web")
    assert ask("PATCH", path, deployment(), APPLY, fieldManager="seatrial", dryRun="All")[0] == 201
    assert ask.api.objects("ConfigMap") == before
    assert ask.api.objects("Deployment") == []


def test_a_deletion_holds_to_its_preconditions(ask: Caller) -> None:
    made = ask.create(config_map(a="1"))["metadata"]
    ask.merge("ConfigMap", "settings", {"data": {"a": "2"}})
    for wrong in ({"uid": "of another"}, {"resourceVersion": made["resourceVersion"]}):
        code, status = ask("DELETE", path_of("ConfigMap", "settings"), {"preconditions": wrong})
        assert (code, status["reason"]) == (409, "Conflict")
        assert "precondition" in status["message"]
    code, status = ask("DELETE", path_of("ConfigMap", "settings"), {"preconditions": {"uid": made["uid"]}})
    assert (code, status["status"], status["details"]["uid"]) == (200, "Success", made["uid"])
    assert ask("DELETE", path_of("ConfigMap", "settings"))[0] == 404


def test_an_object_with_finalizers_stays_until_they_are_gone(ask: Caller) -> None:
    thing = config_map()
    thing["metadata"]["finalizers"] = ["seatrial.dev/keep"]
    ask.create(thing)
    code, deleted = ask("DELETE", path_of("ConfigMap", "settings"))
    assert code == 200
    assert "deletionTimestamp" in deleted["metadata"]
    assert "deletionTimestamp" in ask.get("ConfigMap", "settings")["metadata"]
    assert ask.merge("ConfigMap", "settings", {"metadata": {"finalizers": []}})[0] == 200
    assert ask("GET", path_of("ConfigMap", "settings"))[0] == 404


def test_a_collection_is_deleted_by_its_labels(ask: Caller) -> None:
    for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
        ask.create(config_map(name, {"set": label}))
    code, _ = ask("DELETE", path_of("ConfigMap"), labelSelector="set=x")
    assert code == 200
    assert [thing["metadata"]["name"] for thing in ask.api.objects("ConfigMap")] == ["b"]


def test_the_scale_subresource_sets_replicas_and_nothing_else(ask: Caller) -> None:
    ask.create(deployment())
    path = path_of("Deployment", "web") + "/scale"
    code, scale = ask("GET", path)
    assert (code, scale["kind"], scale["spec"], scale["status"]["selector"]) == (
        200,
        "Scale",
        {"replicas": 2},
        "app=web",
    )
    assert ask("PATCH", path, {"spec": {"replicas": 5}}, MERGE)[1]["spec"] == {"replicas": 5}
    assert ask("PUT", path, {**scale, "spec": {"replicas": 6}})[0] == 409
    assert ask.get("Deployment", "web")["spec"]["replicas"] == 5


def test_what_the_writer_left_out_is_filled_in(ask: Caller) -> None:
    made = ask.create(deployment(replicas=None))
    assert (made["spec"]["replicas"], made["spec"]["progressDeadlineSeconds"]) == (1, 600)
    assert made["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    spec = ask.create(service())["spec"]
    assert spec["clusterIP"].startswith("10.96.")
    assert spec["ports"] == [{"port": 8080, "targetPort": 8080, "protocol": "TCP"}]
    backend = ask.create(route())["spec"]["rules"][0]["backendRefs"][0]
    assert backend == {"group": "", "kind": "Service", "name": "web", "port": 8080, "weight": 1}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metadata": {"labels": {"version": "1+2"}}}, "metadata.labels"),
        ({"spec": {"selector": {"matchLabels": {"app": "other"}}}}, "spec.template.metadata.labels"),
    ],
)
def test_an_invalid_object_is_refused_by_its_field(ask: Caller, change: dict[str, object], field: str) -> None:
    ask.create(deployment())
    code, status = ask.merge("Deployment", "web", change)
    assert (code, status["reason"], status["details"]["causes"][0]["field"]) == (422, "Invalid", field)
    assert status["message"].startswith(f'Deployment.apps "web" is invalid: {field}: Invalid value')


def test_a_weight_beyond_a_million_is_invalid(ask: Caller) -> None:
    code, status = ask("POST", path_of("HTTPRoute"), route(backends={"web": 1_000_001}))
    assert (code, status["reason"]) == (422, "Invalid")


@pytest.mark.parametrize(
    ("filter_", "why"),
    [
        ({"type": "RequestMirror"}, "filter.requestMirror must be specified"),
        ({"type": "URLRewrite"}, "filter.urlRewrite must be specified"),
        (
            {"type": "RequestMirror", "requestMirror": {"percent": 5, "fraction": {"numerator": 1}}},
            "Only one of percent or fraction",
        ),
        ({"type": "RequestMirror", "requestMirror": {"percent": 101}}, "should be 0 to 100"),
        (
            {"type": "RequestMirror", "requestMirror": {"fraction": {"numerator": 3, "denominator": 2}}},
            "numerator must be less than or equal to denominator",
        ),
    ],
)
def test_a_filter_that_makes_no_sense_is_invalid(ask: Caller, filter_: Json, why: str) -> None:
    thing = route()
    mirror = filter_.get("requestMirror")
    filter_ = filter_ | ({"requestMirror": {"backendRef": {"name": "web", "port": 80}, **mirror}} if mirror else {})
    thing["spec"]["rules"][0]["filters"] = [filter_]
    code, status = ask("POST", path_of("HTTPRoute"), thing)
    assert (code, status["reason"]) == (422, "Invalid")
    assert why in status["message"]


def test_an_unknown_field_is_left_out_with_a_warning_or_refused_if_the_client_is_strict(ask: Caller) -> None:
    thing = deployment()
    thing["spec"]["replica"] = 3
    answer = ask.send("POST", path_of("Deployment"), thing)
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.replica\\""'
    assert "replica" not in answer.json()["spec"]
    thing["metadata"]["name"] = "other"
    code, status = ask("POST", path_of("Deployment"), thing, fieldValidation="Strict")
    assert (code, status["message"]) == (400, 'strict decoding error: unknown field "spec.replica"')
    code, status = ask.apply(thing)
    assert code == 500
    assert status["message"].endswith(".spec.replica: field not declared in schema")


@pytest.mark.parametrize("replicas", ["2", True, 2.5])
def test_a_value_of_another_type_is_refused(ask: Caller, replicas: object) -> None:
    thing = deployment()
    thing["spec"]["replicas"] = replicas
    code, status = ask("POST", path_of("Deployment"), thing)
    assert (code, status["reason"]) == (400, "BadRequest")
    assert "spec.replicas of type int" in status["message"]


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("2026-01-02T03:04:05.000000Z", 201),
        ("2026-01-02T03:04:05.000000+00:00", 201),
        ("2026-01-02T03:04:05Z", 400),
    ],
)
def test_the_times_of_a_lease_have_six_digits_of_a_second(ask: Caller, time: str, code: int) -> None:
    lease = {"metadata": {"name": "flights"}, "spec": {"renewTime": time}}
    answered, made = ask("POST", path_of("Lease"), lease)
    assert answered == code
    assert code == 400 or made["spec"]["renewTime"] == "2026-01-02T03:04:05.000000Z"


def test_an_object_laid_down_by_the_test_keeps_its_status(bare: FakeKubernetes) -> None:
    bare.put({**deployment(), "status": {"replicas": 4}})
    thing = bare.object("Deployment", "web")
    assert thing is not None
    assert thing["status"] == {"replicas": 4}


def test_a_namespace_takes_everything_in_it_along(ask: Caller) -> None:
    ask.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "trial"}})
    thing = deployment()
    thing["metadata"]["namespace"] = "trial"
    ask.create(thing)
    held = config_map("held")
    held["metadata"] |= {"namespace": "trial", "finalizers": ["seatrial.dev/keep"]}
    ask.create(held)
    assert ask("DELETE", path_of("Namespace", "trial"))[1]["status"]["phase"] == "Terminating"
    assert ask.api.objects("Pod", "trial") == []
    code, status = ask("POST", path_of("ConfigMap", namespace="trial"), config_map())
    assert (code, status["reason"]) == (403, "Forbidden")
    assert "because it is being terminated" in status["message"]
    ask("PATCH", path_of("ConfigMap", "held", "trial"), {"metadata": {"finalizers": None}}, MERGE)
    assert ask("GET", path_of("Namespace", "trial"))[0] == 404
