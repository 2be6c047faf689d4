"""The verbs that change nothing: get, list and watch."""

import base64
import json
from collections.abc import Callable

from . import watching
from .bodies import Answer, as_json, encoded, says_true
from .faults import Faults, Request
from .kinds import Json, Kind
from .lifecycle import Lifecycle
from .refusals import Refused, bad_request, expired
from .routing import Target
from .scale import scale_of
from .selection import Test, selection
from .store import Store

LONGEST_WATCH_SECONDS = 1800.0
TOO_OLD_TO_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
PodLog = Callable[[Target, dict[str, str]], str]


class Reading:
    """What is asked, from the store; `log` is what pods have written."""

    def __init__(self, lifecycle: Lifecycle, faults: Faults) -> None:
        self.log: PodLog = lambda target, query: ""
        self._lifecycle = lifecycle
        self._store: Store = lifecycle.store
        self._faults = faults
        self._watch_generation = 0

    def end_watches(self) -> None:
        """Every watch that is open ends."""
        with self._store.lock:
            self._watch_generation += 1
            self._store.changed.notify_all()

    def get(self, request: Request, target: Target) -> Answer:
        thing = self._lifecycle.live(target.kind, *target.key)
        if target.subresource == "log":
            return Answer(200, self.log(target, request.query).encode(), "text/plain")
        return as_json(200, scale_of(target.kind, thing) if target.subresource == "scale" else thing)

    def list_all(self, request: Request, target: Target) -> Answer:
        """A page of the objects that the selectors select; all pages show the same state."""
        query = request.query
        selected = asked_selection(target.kind, query)
        version, after, things = self._asked_state(target, query)
        things = [thing for thing in things if selected(thing) and _place(thing) > after]
        metadata: Json = {"resourceVersion": str(version)}
        limit = int(query.get("limit") or 0)
        if limit and len(things) > limit:
            metadata["continue"] = _token(version, _place(things[limit - 1]))
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(things) - limit
            things = things[:limit]
        return as_json(200, list_of(target.kind, metadata, things))

    def watch(self, request: Request, target: Target) -> Answer:
        query = request.query
        version = _version(query)
        if version and self._faults.gone_as_status:
            self._store.refuse_forgotten(version)
        watch = watching.Watch(
            target.kind,
            target.namespace,
            asked_selection(target.kind, query),
            version or None,
            float(query.get("timeoutSeconds") or LONGEST_WATCH_SECONDS),
            bookmarks=says_true(query.get("allowWatchBookmarks")),
            initial=says_true(query.get("sendInitialEvents")),
        )
        generation = self._watch_generation
        return Answer(200, stream=watching.stream(self._store, watch, lambda: self._watch_generation != generation))

    def _asked_state(self, target: Target, query: dict[str, str]) -> tuple[int, list[str], list[Json]]:
        """The version to list at, the last object that the client has seen, and all objects as they were then."""
        if token := query.get("continue"):
            if query.get("resourceVersion", "0") not in ("", "0"):
                raise bad_request("specifying resource version is not allowed when using continue")
            version, after = _from_token(token)
            version = version if version > 0 else self._store.version
            return version, after, self._things_at(target, version, after)
        version = _version(query)
        if query.get("resourceVersionMatch") == "Exact":
            return version, [], self._things_at(target, version, [])
        self._store.refuse_future(version)
        return self._store.version, [], self._store.all(target.kind, target.namespace)

    def _things_at(self, target: Target, version: int, after: list[str]) -> list[Json]:
        try:
            return self._store.all_at(version, target.kind, target.namespace)
        except Refused as gone:
            if gone.code == 410 and after:
                raise expired(TOO_OLD_TO_CONTINUE, _token(-1, after)) from gone
            raise


def list_of(kind: Kind, metadata: Json, things: list[Json]) -> Json:
    """Items of built-in kinds come without their kind, as the real server leaves it out."""
    if not kind.custom:
        things = [{key: value for key, value in thing.items() if key not in ("kind", "apiVersion")} for thing in things]
    return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": things}


def asked_selection(kind: Kind, query: dict[str, str]) -> Test:
    """Says of an object whether the selectors of the query select it. Raises `Refused` (400)."""
    return selection(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))


def _place(thing: Json) -> list[str]:
    return [thing["metadata"].get("namespace", ""), thing["metadata"]["name"]]


def _token(version: int, place: list[str]) -> str:
    return base64.urlsafe_b64encode(encoded({"v": "meta.k8s.io/v1", "rv": version, "start": place})).decode()


def _from_token(token: str) -> tuple[int, list[str]]:
    try:
        told = json.loads(base64.urlsafe_b64decode(token))
        return told["rv"], told["start"]
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error


def _version(query: dict[str, str]) -> int:
    text = query.get("resourceVersion") or "0"
    if not text.isdigit():
        raise bad_request(f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)
