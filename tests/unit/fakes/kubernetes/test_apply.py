"""Server-side apply: owners of fields, conflicts, and what happens to what is no longer applied."""

from typing import Any

from tests.unit.fakes.kubernetes.asking import APPLY, Caller, config_map, deployment, path_of, route


def container(thing: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = thing["spec"]["template"]["spec"]["containers"][0]
    return found


def owners(thing: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in thing["metadata"]["managedFields"]}


def test_applying_creates_and_then_patches(ask: Caller) -> None:
    assert ask.apply(config_map(a="1"))[0] == 201
    code, after = ask.apply(config_map(a="2"))
    assert (code, after["data"]) == (200, {"a": "2"})


def test_the_applier_owns_what_it_applied_and_not_what_was_filled_in(ask_bare: Caller) -> None:
    _, made = ask_bare.apply(deployment())
    assert made["spec"]["progressDeadlineSeconds"] == 600
    fields = owners(made)["seatrial", "Apply"]["f:spec"]
    assert set(fields) == {"f:replicas", "f:selector", "f:template"}
    assert fields["f:selector"] == {}
    key = 'k:{"containerPort":8080,"protocol":"TCP"}'
    owned = fields["f:template"]["f:spec"]["f:containers"]['k:{"name":"model"}']
    assert owned == {".": {}, "f:image": {}, "f:name": {}, "f:ports": {key: {".": {}, "f:containerPort": {}}}}


def test_the_same_again_changes_nothing(ask: Caller) -> None:
    ask.apply(deployment())
    before = ask.get("Deployment", "web")
    assert ask.apply(deployment()) == (200, before)


def test_a_field_of_another_is_a_conflict_that_names_both(ask: Caller) -> None:
    ask.apply(deployment(replicas=2))
    code, status = ask.apply(deployment(replicas=3), manager="other")
    assert (code, status["reason"]) == (409, "Conflict")
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "seatrial": .spec.replicas'
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "seatrial"', "field": ".spec.replicas"}
    ]


def test_several_conflicts_are_listed_by_manager(ask: Caller) -> None:
    ask.apply(deployment())
    wanted = deployment(replicas=3, image="web:2")
    _, status = ask.apply(wanted, manager="other")
    assert status["message"] == (
        'Apply failed with 2 conflicts: conflicts with "seatrial":\n- .spec.replicas\n'
        '- .spec.template.spec.containers[name="model"].image'
    )


def test_who_updated_is_named_with_version_and_time(ask: Caller) -> None:
    made = ask.create(config_map(a="1"))
    time = made["metadata"]["managedFields"][0]["time"]
    _, status = ask.apply(config_map(a="2"))
    assert status["message"] == f'Apply failed with 1 conflict: conflict with "tester" using v1 at {time}: .data.a'


def test_the_same_value_is_owned_together(ask: Caller) -> None:
    ask.apply(config_map(a="1"))
    code, after = ask.apply(config_map(a="1"), manager="other")
    assert code == 200
    assert owners(after) == {(name, "Apply"): {"f:data": {"f:a": {}}} for name in ("seatrial", "other")}
    assert ask.apply(config_map(), manager="other")[1]["data"] == {"a": "1"}
    assert not ask.apply(config_map())[1].get("data")


def test_force_takes_the_field_away(ask: Caller) -> None:
    ask.apply(deployment(replicas=2))
    code, after = ask.apply(deployment(replicas=3), manager="other", force=True)
    assert (code, after["spec"]["replicas"]) == (200, 3)
    assert "f:replicas" in owners(after)["other", "Apply"]["f:spec"]
    assert "f:replicas" not in owners(after)["seatrial", "Apply"]["f:spec"]
    assert ask.apply(deployment(replicas=2))[0] == 409


def test_who_writes_a_field_takes_it_from_the_applier(ask: Caller) -> None:
    ask.apply(config_map(a="1", b="1"))
    after = ask.merge("ConfigMap", "settings", {"data": {"a": "2"}}, fieldManager="hand")[1]
    assert owners(after)["hand", "Update"] == {"f:data": {"f:a": {}}}
    assert owners(after)["seatrial", "Apply"] == {"f:data": {"f:b": {}}}
    assert ask.apply(config_map(a="1", b="1"))[0] == 409
    assert ask.apply(config_map(b="1"))[1]["data"] == {"a": "2", "b": "1"}


def test_what_is_no_longer_applied_is_gone_and_what_was_filled_in_comes_back(ask: Caller) -> None:
    thing = deployment(replicas=4)
    thing["metadata"]["labels"] = {"kept": "1", "dropped": "2"}
    container(thing)["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    ask.apply(thing)
    thing["metadata"]["labels"] = {"kept": "1"}
    container(thing)["env"] = [{"name": "B", "value": "2"}]
    del thing["spec"]["replicas"]
    _, after = ask.apply(thing)
    assert after["metadata"]["labels"] == {"kept": "1"}
    assert container(after)["env"] == [{"name": "B", "value": "2"}]
    assert after["spec"]["replicas"] == 1


def test_a_replica_count_that_is_left_to_an_autoscaler_stays(ask: Caller) -> None:
    ask.apply(deployment(replicas=2))
    ask.api.autoscale("web", 7)
    assert ask.apply(deployment(replicas=None))[1]["spec"]["replicas"] == 7


def test_lists_with_keys_are_merged_item_by_item(ask: Caller) -> None:
    ask.apply(deployment())
    sidecar = deployment()
    sidecar["spec"] = {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}
    code, after = ask.apply(sidecar, manager="mesh")
    assert code == 200
    names = [each["name"] for each in after["spec"]["template"]["spec"]["containers"]]
    assert names == ["model", "side"]
    after = ask.apply(deployment(image="web:2"))[1]
    assert [each["image"] for each in after["spec"]["template"]["spec"]["containers"]] == ["web:2", "side:1"]
    empty = {**sidecar, "spec": {}}
    after = ask.apply(empty, manager="mesh")[1]
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["model"]


def test_an_item_of_which_another_owns_a_part_stays(ask: Caller) -> None:
    thing = deployment()
    container(thing)["env"] = [{"name": "A", "value": "1"}]
    ask.apply(thing)
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "2"}]
    path = path_of("Deployment", "web")
    assert ask("PATCH", path, patch, "application/json-patch+json", fieldManager="hand")[0] == 200
    after = ask.apply(deployment())[1]
    assert container(after)["env"] == [{"name": "A", "value": "2"}]
    assert ask.apply(thing)[0] == 409


def test_a_list_without_keys_is_one_value_and_differs_by_what_was_filled_in(ask: Caller) -> None:
    ask.apply(route(backends={"v1": 90, "v2": 10}))
    code, status = ask.apply(route(backends={"v1": 80, "v2": 20}), manager="other")
    fields = {cause["field"] for cause in status["details"]["causes"]}
    assert (code, fields) == (409, {".spec.rules", ".spec.parentRefs"})


def test_a_version_in_what_is_applied_is_a_precondition(ask: Caller) -> None:
    _, made = ask.apply(config_map(a="1"))
    wanted = config_map(a="2")
    wanted["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    assert ask.apply(wanted)[0] == 200
    wanted["data"] = {"a": "3"}
    code, status = ask.apply(wanted)
    assert code == 409
    assert "the object has been modified" in status["message"]


def test_the_status_is_applied_on_its_own(ask_bare: Caller) -> None:
    ask = ask_bare
    ask.apply(route())
    condition = {"type": "Accepted", "status": "True"}
    parents = [{"parentRef": {"name": "front"}, "controllerName": "x/y", "conditions": [condition]}]
    thing = {**route(), "status": {"parents": parents}}
    path = path_of("HTTPRoute", "flights") + "/status"
    code, after = ask("PATCH", path, thing, APPLY, fieldManager="gateway")
    assert (code, after["status"]) == (200, {"parents": parents})
    assert owners(after)["gateway", "Apply"] == {"f:status": {"f:parents": {}}}
    assert "status" in ask.apply(route())[1]


def test_a_key_that_stands_twice_is_refused(ask: Caller) -> None:
    thing = deployment()
    container(thing)["env"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    code, status = ask.apply(thing)
    assert code == 500
    assert status["message"] == (
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): "
        '.spec.template.spec.containers[name="model"].env: duplicate entries for key [name="A"]'
    )


def test_another_strategy_stumbles_over_what_was_filled_in(ask: Caller) -> None:
    ask.apply(deployment())
    thing = deployment()
    thing["spec"]["strategy"] = {"type": "Recreate"}
    code, status = ask.apply(thing)
    assert code == 422
    assert "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is" in status["message"]


def test_owners_are_forgotten_if_a_writer_says_so(ask: Caller) -> None:
    ask.apply(config_map(a="1"))
    assert ask.merge("ConfigMap", "settings", {"metadata": {"managedFields": [{}]}})[0] == 200
    assert ask.get("ConfigMap", "settings")["metadata"]["managedFields"] == []
    assert ask.apply(config_map(a="2"), manager="other")[0] == 200


def test_an_applier_has_a_name(ask: Caller) -> None:
    code, status = ask("PATCH", path_of("ConfigMap", "settings"), config_map(), APPLY)
    assert code == 422
    assert "fieldManager: Required value" in status["message"]


def test_what_is_applied_says_what_it_is_and_owns_nothing_yet(ask: Caller) -> None:
    assert ask("PATCH", path_of("ConfigMap", "settings"), {"data": {}}, APPLY, fieldManager="x")[0] == 400
    thing = config_map()
    thing["metadata"]["managedFields"] = []
    assert ask.apply(thing)[0] == 400


def test_yaml_is_applied_as_well_as_json(ask: Caller) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  a: '1'\n"
    url = ask.api.url + path_of("ConfigMap", "settings")
    answer = ask.wire.patch(url, params={"fieldManager": "x"}, content=text, headers={"Content-Type": APPLY})
    assert (answer.status_code, answer.json()["data"]) == (201, {"a": "1"})
