"""From a request to its answer: the verbs of the API, without sockets."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from . import watching
from .discovery import discovered
from .faults import Faults, Request
from .kinds import BY_NAME, Json, Kind
from .lifecycle import Deletion, Lifecycle
from .ownership import Manager
from .patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, accepted_patches, patched
from .refusals import (
    Refused,
    bad_request,
    expired,
    invalid,
    method_not_allowed,
    not_found,
    status,
    success,
    unsupported_patch,
)
from .routing import NoSuchPath, Target, target_of
from .scale import scale_of, scaled
from .selection import Test, selection
from .store import Store

ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
LONGEST_WATCH_SECONDS = 1800.0
TOO_OLD_TO_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a body at once, or `stream`, line by line."""

    code: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a pod answered through the proxy of the API server."""

    code: int
    body: bytes
    content_type: str = "application/json"


PodProxy = Callable[[Request, Target], Proxied | None]
PodLog = Callable[[Target, dict[str, str]], str]


class Answers:
    """The API: `answer` takes every request there is.

    `settle` lets the controllers work after each write; `proxy` answers for pods, None where one cannot be reached."""

    def __init__(self, store: Store, lifecycle: Lifecycle, faults: Faults, settle: Callable[[], None]) -> None:
        self.proxy: PodProxy = lambda request, target: None
        self.log: PodLog = lambda target, query: ""
        self._store = store
        self._lifecycle = lifecycle
        self._faults = faults
        self._settle = settle
        self._watch_generation = 0

    def end_watches(self) -> None:
        """Every watch that is open ends."""
        with self._store.lock:
            self._watch_generation += 1
            self._store.changed.notify_all()

    def answer(self, request: Request) -> tuple[Answer, bool]:
        """The answer, and whether it is to be lost on the way."""
        lost = False
        try:
            lost = self._faults.meet(request)
            return self._answer(request), lost
        except NoSuchPath as missing:
            return Answer(missing.code, b"404 page not found\n", "text/plain; charset=utf-8"), lost
        except Refused as refusal:
            return Answer(refusal.code, _encoded(refusal.status), headers=refusal.headers), lost

    def _answer(self, request: Request) -> Answer:
        switched_off = self._faults.switched_off_groups
        if request.path == ACCESS_REVIEWS and request.method == "POST":
            return _json(201, self._access_review(_object(request.body)))
        if request.method == "GET" and (found := discovered(request.path, switched_off)):
            return Answer(200, found.encode(), "text/plain") if isinstance(found, str) else _json(200, found)
        target = target_of(request.path, switched_off)
        self._faults.refuse_forbidden(_verb(request, target), target)
        if target.subresource == "proxy":
            return self._proxied(request, target)
        self._faults.refuse_conflict(request.method, target)
        with self._store.lock:
            return self._within_lock(request, target)

    def _within_lock(self, request: Request, target: Target) -> Answer:
        match request.method:
            case "GET" if target.name:
                return self._get(request, target)
            case "GET":
                return self._watch(request, target) if _watches(request) else self._list(request, target)
            case "POST" if not target.name:
                answer = self._create(request, target)
            case "PUT" if target.name:
                answer = self._replace(request, target)
            case "PATCH" if target.name:
                answer = self._patch(request, target)
            case "DELETE" if not target.subresource:
                answer = self._delete(request, target) if target.name else self._delete_all(request, target)
            case _:
                raise method_not_allowed()
        self._settle()
        return answer

    def _get(self, request: Request, target: Target) -> Answer:
        thing = self._lifecycle.live(target.kind, *target.key)
        if target.subresource == "log":
            return Answer(200, self.log(target, request.query).encode(), "text/plain")
        return _json(200, scale_of(target.kind, thing) if target.subresource == "scale" else thing)

    def _list(self, request: Request, target: Target) -> Answer:
        query = request.query
        selected = self._selection(target.kind, query)
        version, after = self._place_of_list(query)
        exact = "continue" in query or query.get("resourceVersionMatch") == "Exact"
        if exact:
            things = self._things_at(target, version, after)
        else:
            if version > self._store.version:
                self._store.all_at(version, target.kind)
            version = self._store.version
            things = self._store.all(target.kind, target.namespace)
        things = [thing for thing in things if selected(thing) and _place(thing) > after]
        metadata: Json = {"resourceVersion": str(version)}
        limit = int(query.get("limit") or 0)
        if limit and len(things) > limit:
            metadata["continue"] = _token(version, _place(things[limit - 1]))
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(things) - limit
            things = things[:limit]
        return _json(200, _list_of(target.kind, metadata, things))

    def _place_of_list(self, query: dict[str, str]) -> tuple[int, list[str]]:
        """The version to list at (0: any), and the last object that the client has seen."""
        if token := query.get("continue"):
            if query.get("resourceVersion", "0") not in ("", "0"):
                raise bad_request("specifying resource version is not allowed when using continue")
            version, after = _from_token(token)
            return version if version > 0 else self._store.version, after
        return _version(query), []

    def _things_at(self, target: Target, version: int, after: list[str]) -> list[Json]:
        try:
            return self._store.all_at(version, target.kind, target.namespace)
        except Refused as gone:
            if gone.code == 410 and after:
                raise expired(TOO_OLD_TO_CONTINUE, _token(-1, after)) from gone
            raise

    def _watch(self, request: Request, target: Target) -> Answer:
        query = request.query
        version = _version(query)
        if version and version < self._store.compacted and self._faults.gone_as_status:
            raise expired(f"too old resource version: {version} ({self._store.compacted})")
        watch = watching.Watch(
            target.kind,
            target.namespace,
            self._selection(target.kind, query),
            version or None,
            float(query.get("timeoutSeconds") or LONGEST_WATCH_SECONDS),
            bookmarks=_true(query.get("allowWatchBookmarks")),
            initial=_true(query.get("sendInitialEvents")),
        )
        generation = self._watch_generation
        return Answer(200, stream=watching.stream(self._store, watch, lambda: self._watch_generation != generation))

    def _create(self, request: Request, target: Target) -> Answer:
        kind, sent = target.kind, _object(request.body)
        _check_type(kind, sent)
        self._check_namespace(target, sent)
        manager = _manager(request)
        made = self._lifecycle.create(kind, target.namespace, sent, manager, dry=_dry(request))
        return _json(201, made)

    def _replace(self, request: Request, target: Target) -> Answer:
        kind, sent, manager = target.kind, _object(request.body), _manager(request, target.subresource)
        if target.subresource == "scale":
            changed = self._lifecycle.change(kind, target.key, lambda live: scaled(live, sent), manager)
            return _json(200, scale_of(kind, changed))
        _check_type(kind, sent)
        self._check_namespace(target, sent)
        metadata = sent.setdefault("metadata", {})
        _check_name(target, metadata)
        if self._store.get(kind, *target.key) is None and kind.created_by_put and not target.subresource:
            return _json(201, self._lifecycle.create(kind, target.namespace, sent, manager, dry=_dry(request)))
        self._lifecycle.live(kind, *target.key)
        if not metadata.get("resourceVersion") and not kind.replaced_blindly:
            why = f"Invalid value: {kind.no_version}: must be specified for an update"
            raise invalid(kind, target.name, "metadata.resourceVersion", why)
        return _json(200, self._lifecycle.change(kind, target.key, lambda _: sent, manager, dry=_dry(request)))

    def _patch(self, request: Request, target: Target) -> Answer:
        if request.content_type == APPLY_PATCH:
            return self._apply(request, target)
        if request.content_type not in accepted_patches(target.kind):
            raise unsupported_patch(target.kind, accepted_patches(target.kind))
        patch, manager = _parsed(request.body), _manager(request, target.subresource)

        def change(live: Json) -> Json:
            if target.subresource == "scale":
                how = request.content_type if request.content_type == JSON_PATCH else MERGE_PATCH
                return scaled(live, patched(target.kind, scale_of(target.kind, live), patch, how))
            return patched(target.kind, live, patch, request.content_type)

        changed = self._lifecycle.change(target.kind, target.key, change, manager, dry=_dry(request))
        return _json(200, scale_of(target.kind, changed) if target.subresource == "scale" else changed)

    def _apply(self, request: Request, target: Target) -> Answer:
        kind, wanted, query = target.kind, _object(request.body), request.query
        if not query.get("fieldManager"):
            why = "is required for apply patch"
            message = f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: {why}'
            raise Refused(status(422, "Invalid", message, {"group": "meta.k8s.io", "kind": "PatchOptions"}))
        for name in ("apiVersion", "kind"):
            if not wanted.get(name):
                raise bad_request(f"error decoding patch: Object '{name[0].upper()}{name[1:]}' is missing")
        _check_type(kind, wanted)
        self._check_namespace(target, wanted)
        _check_name(target, wanted.get("metadata", {}))
        if self._store.get(kind, *target.key) is None:
            self._faults.refuse_forbidden("create", target)
        manager = Manager(query["fieldManager"], "Apply", target.subresource)
        force, dry = _true(query.get("force")), _dry(request)
        thing, new = self._lifecycle.apply(kind, target.key, wanted, manager, force=force, dry=dry)
        return _json(201 if new else 200, thing)

    def _delete(self, request: Request, target: Target) -> Answer:
        kind, wanted = target.kind, _deletion(request)
        last, gone = self._lifecycle.delete(kind, target.key, wanted)
        if gone and kind.name != "Pod":
            return _json(200, success(kind, target.name, last["metadata"]["uid"]))
        return _json(200, last)

    def _delete_all(self, request: Request, target: Target) -> Answer:
        kind, selected = target.kind, self._selection(target.kind, request.query)
        things = [thing for thing in self._store.all(kind, target.namespace) if selected(thing)]
        for thing in things:
            key = thing["metadata"].get("namespace", ""), thing["metadata"]["name"]
            self._lifecycle.delete(kind, key, _deletion(request))
        return _json(200, _list_of(kind, {"resourceVersion": str(self._store.version)}, things))

    def _proxied(self, request: Request, target: Target) -> Answer:
        name = target.name.split(":")[-2] if ":" in target.name else target.name
        pod = BY_NAME["Pod"]
        with self._store.lock:
            if self._store.get(pod, target.namespace, name) is None:
                raise not_found(pod, name)
        proxied = self.proxy(request, target)
        if proxied is None:
            why = "error trying to reach service: dial tcp: connect: connection refused"
            raise Refused(status(503, "ServiceUnavailable", why))
        return Answer(proxied.code, proxied.body, proxied.content_type)

    def _access_review(self, review: Json) -> Json:
        asked = review.get("spec", {}).get("resourceAttributes", {})
        resource = "/".join(filter(None, (asked.get("resource", ""), asked.get("subresource", ""))))
        allowed = self._faults.allows(asked.get("verb", ""), asked.get("group", ""), resource, asked.get("name", ""))
        told = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {}}
        return {**told, "spec": review.get("spec", {}), "status": {"allowed": allowed}}

    def _selection(self, kind: Kind, query: dict[str, str]) -> Test:
        return selection(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))

    def _check_namespace(self, target: Target, sent: Json) -> None:
        named = (sent.get("metadata") or {}).get("namespace")
        if target.kind.namespaced and not target.namespace:
            raise method_not_allowed()
        if named and named != target.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _verb(request: Request, target: Target) -> str:
    """As RBAC calls it."""
    match request.method:
        case "GET" if target.name:
            return "get"
        case "GET":
            return "watch" if _watches(request) else "list"
        case "DELETE" if not target.name:
            return "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method, "get")


def _manager(request: Request, subresource: str = "") -> Manager:
    named = request.query.get("fieldManager") or request.user_agent.split("/")[0] or "unknown"
    return Manager(named, "Update", subresource)


def _deletion(request: Request) -> Deletion:
    asked = _object(request.body) if request.body.strip() else {}
    wanted = asked.get("preconditions") or {}
    grace = asked.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    return Deletion(
        uid=wanted.get("uid") or "",
        version=wanted.get("resourceVersion") or "",
        policy=asked.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background",
        grace_seconds=None if grace is None else int(grace),
        dry=_dry(request) or "All" in (asked.get("dryRun") or []),
    )


def _check_type(kind: Kind, sent: Json) -> None:
    version, name = sent.get("apiVersion"), sent.get("kind")
    if version not in (None, kind.api_version):
        why = f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        raise bad_request(why)
    if name not in (None, kind.name):
        why = f'{name} in version "{kind.version}" cannot be handled as a {kind.name}: no kind "{name}" is registered'
        raise bad_request(why)


def _check_name(target: Target, metadata: Json) -> None:
    named = metadata.setdefault("name", target.name)
    if named != target.name:
        raise bad_request(f"the name of the object ({named}) does not match the name on the URL ({target.name})")


def _list_of(kind: Kind, metadata: Json, things: list[Json]) -> Json:
    """Items of built-in kinds come without their kind, as the real server leaves it out."""
    if not kind.custom:
        things = [{key: value for key, value in thing.items() if key not in ("kind", "apiVersion")} for thing in things]
    return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": things}


def _place(thing: Json) -> list[str]:
    return [thing["metadata"].get("namespace", ""), thing["metadata"]["name"]]


def _token(version: int, place: list[str]) -> str:
    return base64.urlsafe_b64encode(_encoded({"v": "meta.k8s.io/v1", "rv": version, "start": place})).decode()


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


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        return yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error


def _object(body: bytes) -> Json:
    parsed = _parsed(body)
    if not isinstance(parsed, dict):
        raise bad_request("the object provided is unrecognized (must be of type struct)")
    return parsed


def _json(code: int, body: Json) -> Answer:
    return Answer(code, _encoded(body))


def _encoded(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _dry(request: Request) -> bool:
    return request.query.get("dryRun") == "All"


def _watches(request: Request) -> bool:
    return _true(request.query.get("watch"))


def _true(text: str | None) -> bool:
    return text is not None and text.lower() in ("1", "true")
