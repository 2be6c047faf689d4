"""Watches: what happened after a version, as a stream that stays open."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .kinds import Json, Kind
from .refusals import Refused
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
        first = [] if watch.version is not None else _present(store, watch)
    if watch.initial:
        first.append(_bookmark(watch.kind, version, INITIAL_END))
    yield from first
    while True:
        try:
            with store.changed:
                changes = store.changes_after(version, watch.kind)
                if not changes and not ended() and (left := until - time.monotonic()) > 0:
                    store.changed.wait(min(left, LONGEST_NAP_SECONDS))
                seen = changes[-1].version if changes else version
        except Refused as gone:
            yield event("ERROR", gone.status)
            return
        for change in changes:
            if told := _told(watch, change):
                yield told
        version = seen
        if ended():
            return
        if not changes and time.monotonic() >= until:
            break
    if watch.bookmarks:
        yield _bookmark(watch.kind, store.version, {})


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
