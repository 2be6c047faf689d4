"""Watches: what comes, in which order, and how they end."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.unit.fakes.kubernetes.asking import Caller, config_map, path_of

Event = tuple[str, str]


def watched(ask: Caller, **query: Any) -> Iterator[dict[str, Any]]:
    """The events of a watch of configuration maps that lasts until the server ends it."""
    asked = {"watch": "1", "timeoutSeconds": "0.2", **query}
    with ask.wire.stream("GET", ask.api.url + path_of("ConfigMap"), params=asked) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            yield json.loads(line)


def told(events: Iterator[dict[str, Any]]) -> list[Event]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def version(ask: Caller) -> str:
    found: str = ask("GET", path_of("ConfigMap"))[1]["metadata"]["resourceVersion"]
    return found


def test_a_watch_tells_what_happened_after_its_version(ask: Caller) -> None:
    ask.create(config_map("before"))
    since = version(ask)
    ask.create(config_map("a"))
    ask.merge("ConfigMap", "a", {"data": {"x": "1"}})
    ask("DELETE", path_of("ConfigMap", "a"))
    events = list(watched(ask, resourceVersion=since))
    assert told(iter(events)) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert events[0]["object"]["kind"] == "ConfigMap"
    assert events[2]["object"]["data"] == {"x": "1"}


def test_a_watch_without_a_version_begins_with_what_is_there(ask: Caller) -> None:
    ask.create(config_map("a"))
    assert told(watched(ask)) == [("ADDED", "a")]


def test_a_watch_goes_on_with_what_happens_meanwhile(ask: Caller) -> None:
    since = version(ask)
    events = watched(ask, resourceVersion=since, timeoutSeconds="20")
    ask.create(config_map("a"))
    assert next(events)["type"] == "ADDED"
    ask.api.remove("ConfigMap", "a")
    assert next(events)["type"] == "DELETED"
    events.close()


def test_an_object_comes_and_goes_with_its_labels(ask: Caller) -> None:
    since = version(ask)
    ask.create(config_map("a"))
    for label in ("x", "x2", None):
        ask.merge("ConfigMap", "a", {"metadata": {"labels": {"set": label}}})
    found = list(watched(ask, resourceVersion=since, labelSelector="set in (x,x2)"))
    assert told(iter(found)) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert found[2]["object"]["metadata"]["labels"] == {"set": "x2"}
    assert found[2]["object"]["metadata"]["resourceVersion"] == version(ask)


def test_a_watch_keeps_to_the_name_that_is_asked_for(ask: Caller) -> None:
    since = version(ask)
    for name in ("a", "b"):
        ask.create(config_map(name))
    assert told(watched(ask, resourceVersion=since, fieldSelector="metadata.name=b")) == [("ADDED", "b")]


def test_a_bookmark_tells_how_far_a_quiet_watch_has_come(ask: Caller) -> None:
    since = version(ask)
    ask.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}})
    events = list(watched(ask, resourceVersion=since, allowWatchBookmarks="true"))
    assert [event["type"] for event in events] == ["BOOKMARK"]
    assert events[0]["object"]["metadata"]["resourceVersion"] == version(ask)


def test_the_end_of_the_initial_events_is_marked(ask: Caller) -> None:
    ask.create(config_map("a"))
    asked = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    events = list(watched(ask, **asked))
    assert [event["type"] for event in events[:2]] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_forgotten_version_is_told_as_an_error_event(ask: Caller) -> None:
    since = version(ask)
    ask.create(config_map("a"))
    ask.api.compact()
    events = list(watched(ask, resourceVersion=since))
    assert [event["type"] for event in events] == ["ERROR"]
    assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")
    assert "too old resource version" in events[0]["object"]["message"]


def test_or_as_the_answer(ask: Caller) -> None:
    since = version(ask)
    ask.create(config_map("a"))
    ask.api.compact()
    ask.api.faults.gone_as_status = True
    assert ask("GET", path_of("ConfigMap"), watch="1", resourceVersion=since)[0] == 410


def test_a_watch_that_is_open_survives_forgetting(ask: Caller) -> None:
    ask.create(config_map("a"))
    events = watched(ask, timeoutSeconds="20")
    assert next(events)["type"] == "ADDED"
    ask.create(config_map("b"))
    ask.api.compact()
    assert next(events)["object"]["metadata"]["name"] == "b"
    events.close()


def test_a_watch_that_is_open_can_be_made_to_expire(ask: Caller) -> None:
    ask.create(config_map("a"))
    events = watched(ask, timeoutSeconds="20")
    assert next(events)["type"] == "ADDED"
    ask.api.expire_watches()
    assert [event["object"]["code"] for event in events] == [410]


@pytest.mark.parametrize("cleanly", [True, False])
def test_a_watch_can_be_made_to_end_early(ask: Caller, cleanly: bool) -> None:
    for name in ("a", "b", "c"):
        ask.create(config_map(name))
    ask.api.faults.watch_ends_after = 2
    ask.api.faults.watch_ends_cleanly = cleanly
    events = watched(ask, timeoutSeconds="20")
    assert [next(events)["object"]["metadata"]["name"] for _ in range(2)] == ["a", "b"]
    with pytest.raises(StopIteration if cleanly else httpx.TransportError):
        next(events)


def test_watches_can_be_dropped_at_once(ask: Caller) -> None:
    ask.create(config_map("a"))
    events = watched(ask, timeoutSeconds="20")
    next(events)
    ask.api.drop_watches()
    with pytest.raises((StopIteration, httpx.TransportError)):
        next(events)
    assert ask("GET", path_of("ConfigMap", "a"))[0] == 200
