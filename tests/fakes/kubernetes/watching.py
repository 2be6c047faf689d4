"""Watches: what happened after a version, as a stream that stays open."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .kinds import Json, Kind
from .refusals import Refused, expired
from .selection import Test
from .store import Change, Store

LONGEST_NAP_SECONDS = 0.25
INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class Watch:
    """What a client watches. `version` None asks for the present state first, `initial` for a bookmark after it."""

    kind: Kind
    namespace: str
    selected: Test
    version: int | None
    timeout_seconds: float
    bookmarks: bool = False
    initial: bool = False


def event(kind: str, thing: Json) -> bytes:
    """One line of the stream."""
    return json.dumps({"type": kind, "object": thing}, separators=(",", ":")).encode() + b"\n"


def stream(store: Store, watch: Watch, ended: Callable[[], bool]) -> Iterator[bytes]:
    """The events, until the time is over or `ended` says so; 410 comes as an ERROR event, after which nothing comes."""
    until = time.monotonic() + watch.timeout_seconds
    with store.lock:
        version = store.version if watch.version is None else watch.version
        expirations = store.expirations
        first = _first(store, watch, version)
    yield from first
    if watch.version is not None and first:
        return
    while not ended():
        with store.changed:
            changes = store.changes_after(version, watch.kind)
            left = until - time.monotonic()
            if not changes and left > 0 and store.expirations == expirations:
                store.changed.wait(min(left, LONGEST_NAP_SECONDS))
                continue
            seen, too_late = store.version, store.expirations != expirations
        if too_late:
            yield _gone(version)
            return
        for change in changes:
            if told := _told(watch, change):
                yield told
        version = seen
        if not changes:
            break
    if watch.bookmarks and not ended():
        yield _bookmark(watch.kind, version, {})


def _first(store: Store, watch: Watch, version: int) -> list[bytes]:
    """What comes before anything happens."""
    if watch.version is not None:
        try:
            store.refuse_forgotten(version)
        except Refused as gone:
            return [event("ERROR", gone.status)]
        return []
    present = _present(store, watch)
    return [*present, _bookmark(watch.kind, version, INITIAL_END)] if watch.initial else present


def _gone(version: int) -> bytes:
    return event("ERROR", expired(f"too old resource version: {version} ({version + 1})").status)


def _present(store: Store, watch: Watch) -> list[bytes]:
    things = store.all(watch.kind, watch.namespace)
    return [event("ADDED", thing) for thing in things if watch.selected(thing)]


def _told(watch: Watch, change: Change) -> bytes | None:
    """The event that this watch makes of a change: an object that is no longer selected is DELETED for it."""
    if watch.namespace not in ("", change.thing["metadata"].get("namespace", "")):
        return None
    was = change.before is not None and watch.selected(change.before)
    now = change.after is not None and watch.selected(change.after)
    if now:
        assert change.after is not None
        return event("MODIFIED" if was else "ADDED", change.after)
    if not was:
        return None
    assert change.before is not None
    metadata = {**change.before["metadata"], "resourceVersion": str(change.version)}
    return event("DELETED", {**change.before, "metadata": metadata})


def _bookmark(kind: Kind, version: int, annotations: Json) -> bytes:
    metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return event("BOOKMARK", {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata})
