"""Lists: selectors, pages, and pages of a state that is forgotten."""

import pytest

from tests.unit.fakes.kubernetes.asking import Caller, config_map, path_of, route

LABELS = {"a": {"tier": "web", "track": "stable"}, "b": {"tier": "web"}, "c": {"tier": "db"}, "d": {}}


def names(listed: dict[str, object]) -> list[str]:
    items = listed["items"]
    assert isinstance(items, list)
    return [item["metadata"]["name"] for item in items]


@pytest.fixture
def labelled(ask: Caller) -> Caller:
    for name, labels in LABELS.items():
        ask.create(config_map(name, labels))
    return ask


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("", "abcd"),
        ("tier=web", "ab"),
        ("tier==web", "ab"),
        ("tier!=web", "cd"),
        ("tier in (web, db)", "abc"),
        ("tier notin (web)", "cd"),
        ("track", "a"),
        ("!track", "bcd"),
        ("tier=web,!track", "b"),
        ("tier in (web),track notin (canary)", "ab"),
    ],
)
def test_labels_select(labelled: Caller, selector: str, found: str) -> None:
    assert names(labelled("GET", path_of("ConfigMap"), labelSelector=selector)[1]) == list(found)


def test_a_selector_that_cannot_be_read_is_a_bad_request(ask: Caller) -> None:
    assert ask("GET", path_of("ConfigMap"), labelSelector="tier in web")[0] == 400
    code, status = ask("GET", path_of("ConfigMap"), fieldSelector="data.a=1")
    assert (code, status["reason"]) == (400, "BadRequest")
    assert "field label not supported: data.a" in status["message"]


def test_fields_select(labelled: Caller) -> None:
    assert names(labelled("GET", path_of("ConfigMap"), fieldSelector="metadata.name=b")[1]) == ["b"]
    assert names(labelled("GET", path_of("ConfigMap"), fieldSelector="metadata.name!=b")[1]) == ["a", "c", "d"]


def test_a_list_spans_namespaces_or_keeps_to_one(labelled: Caller) -> None:
    labelled.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "trial"}})
    thing = config_map("z")
    thing["metadata"]["namespace"] = "trial"
    labelled.create(thing)
    assert names(labelled("GET", path_of("ConfigMap"))[1]) == list("abcd")
    assert names(labelled("GET", path_of("ConfigMap", namespace=""))[1]) == list("abcdz")


def test_items_of_built_in_kinds_do_not_say_their_kind_and_custom_ones_do(ask: Caller) -> None:
    ask.create(config_map())
    ask.create(route())
    listed = ask("GET", path_of("ConfigMap"))[1]
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert "kind" not in listed["items"][0]
    assert ask("GET", path_of("HTTPRoute"))[1]["items"][0]["kind"] == "HTTPRoute"


def test_pages_show_one_state_even_if_it_changes_between_them(labelled: Caller) -> None:
    code, first = labelled("GET", path_of("ConfigMap"), limit=2)
    assert (code, names(first), first["metadata"]["remainingItemCount"]) == (200, ["a", "b"], 2)
    labelled.api.remove("ConfigMap", "c")
    labelled.create(config_map("bb"))
    labelled.merge("ConfigMap", "d", {"data": {"new": "1"}})
    code, second = labelled("GET", path_of("ConfigMap"), limit=2, **{"continue": first["metadata"]["continue"]})
    assert (code, names(second)) == (200, ["c", "d"])
    assert second["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}
    assert "new" not in second["items"][1]["data"]


def test_a_page_of_a_forgotten_state_is_gone_but_the_rest_can_be_had(labelled: Caller) -> None:
    token = labelled("GET", path_of("ConfigMap"), limit=1)[1]["metadata"]["continue"]
    labelled.create(config_map("e"))
    labelled.api.compact()
    code, status = labelled("GET", path_of("ConfigMap"), limit=10, **{"continue": token})
    assert (code, status["reason"]) == (410, "Expired")
    code, rest = labelled("GET", path_of("ConfigMap"), limit=10, **{"continue": status["metadata"]["continue"]})
    assert (code, names(rest)) == (200, ["b", "c", "d", "e"])


def test_a_token_of_nobody_is_a_bad_request(ask: Caller) -> None:
    assert ask("GET", path_of("ConfigMap"), limit=1, **{"continue": "nonsense"})[0] == 400


def test_a_list_at_an_exact_version_shows_what_was(labelled: Caller) -> None:
    version = labelled("GET", path_of("ConfigMap"))[1]["metadata"]["resourceVersion"]
    labelled.api.remove("ConfigMap", "a")
    exact = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
    assert names(labelled("GET", path_of("ConfigMap"), **exact)[1]) == list("abcd")
    assert names(labelled("GET", path_of("ConfigMap"), resourceVersion=version)[1]) == list("bcd")


def test_a_version_that_is_still_to_come_times_out(ask: Caller) -> None:
    code, status = ask("GET", path_of("ConfigMap"), resourceVersion="999999")
    assert (code, status["reason"]) == (504, "Timeout")
    assert "Too large resource version: 999999" in status["message"]
