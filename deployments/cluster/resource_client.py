"""Objects of one namespace: read, listed, applied, watched; plain dicts in and out."""

import builtins
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from deployments.cluster.api_client import NO_HEADERS, Body, Connection
from deployments.cluster.errors import (
    ApiError,
    ApiForbidden,
    ApiUnreachable,
    Conflicting,
    Expired,
    Missing,
    error_of,
    is_missing_right,
)
from deployments.cluster.object_names import MANAGER
from deployments.cluster.resource_kinds import POD, Kind
from deployments.cluster.startup_forbidden import Rights

Object = dict[str, Any]

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_PAGE: Final = 500
_READY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a pod answered through the API server."""

    status: int
    body: bytes


class Cluster:
    """One namespace of a cluster.

    Every method raises `ApiError` in one of its classes; a right that is refused, but may be there again in a moment
    (see `Rights`), is `ApiUnreachable`. `calls` counts requests by verb and kind of object.
    """

    def __init__(self, connection: Connection, namespace: str | None = None, rights: Rights | None = None) -> None:
        self._connection, self.rights = connection, rights or Rights()
        self.namespace = namespace or connection.namespace
        self.calls: Counter[str] = Counter()

    @classmethod
    def of(cls, namespace: str | None = None, context: str | None = None, kubeconfig: Path | None = None) -> Self:
        """See `Connection.of`; `namespace` None is the one that the credentials come with."""
        return cls(Connection.of(context, kubeconfig), namespace)

    @property
    def address(self) -> str:
        """Of the API server."""
        return self._connection.address

    def close(self) -> None:
        """Let the connections go, before a fork say; the next call opens new ones."""
        self._connection.close()

    def get(self, kind: Kind, name: str) -> Object | None:
        """One object; None if there is none."""
        try:
            return self._asked("get", kind, kind.path(self.namespace, name), {})
        except Missing:
            return None

    def list(self, kind: Kind, labels: str = "", fields: str = "") -> tuple[list[Object], str]:
        """All objects that the selectors let through, and the resource version to watch from.

        Raises `Expired` when the cluster forgot the list while its pages were fetched, three times.
        """
        for _ in range(2):
            with suppress(Expired):
                return self._all_pages(kind, labels, fields)
        return self._all_pages(kind, labels, fields)

    def apply(self, kind: Kind, manifest: Mapping[str, Any]) -> Object:
        """Server-side apply as `seatrial`; fields of it that somebody else set since are taken back."""
        path = kind.path(self.namespace, manifest["metadata"]["name"])
        query = {"fieldManager": MANAGER, "force": "true"}
        return self._written("PATCH", kind, path, query, Body.of(_whole(kind, manifest), _APPLY))

    def create(self, kind: Kind, manifest: Mapping[str, Any]) -> Object:
        """A new object. Raises `Conflicting` if there is one of that name, be it ours that a lost answer hid."""
        path = kind.path(self.namespace)
        return self._written("POST", kind, path, {"fieldManager": MANAGER}, Body.of(_whole(kind, manifest)))

    def replace(self, kind: Kind, found: Mapping[str, Any]) -> Object:
        """An object that was read, changed. Raises `Conflicting` if somebody changed or removed it since."""
        path = kind.path(self.namespace, found["metadata"]["name"])
        return self._changed("PUT", kind, path, Body.of(_whole(kind, found)))

    def merge(self, kind: Kind, name: str, patch: Mapping[str, Any]) -> Object:
        """The fields in `patch` changed (RFC 7396). Raises `Conflicting` if there is no such object any more."""
        return self._changed("PATCH", kind, kind.path(self.namespace, name), Body.of(patch, _MERGE))

    def delete(
        self,
        kind: Kind,
        name: str,
        propagation: str = "Background",
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        """Ends an object if it is there; with `uid` only that one, not another of the same name.

        With `version` only as it was read: raises `Conflicting` if it is another, or changed since.
        """
        options: Object = {"propagationPolicy": propagation}
        asked = {"uid": uid, "resourceVersion": version}
        if conditions := {name: value for name, value in asked.items() if value is not None}:
            options["preconditions"] = conditions
        try:
            self._written("DELETE", kind, kind.path(self.namespace, name), {}, Body.of(options))
        except Missing:
            return
        except Conflicting:
            if uid is None or version is not None:
                raise

    def watch(
        self, kind: Kind, since: str, seconds: float, labels: str = "", fields: str = ""
    ) -> Iterator[tuple[str, Object]]:
        """What happens from resource version `since` on: ADDED, MODIFIED or DELETED, and the object.

        Ends after `seconds`, or sooner when the server hangs up. Raises `Expired` when it has forgotten `since`.
        """
        self.calls[f"watch {kind.plural}"] += 1
        query = {
            "watch": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(max(1, round(seconds))),
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        with self._allowed("watch", kind):
            response = self._connection.send("GET", kind.path(self.namespace), query, seconds=seconds + 1)
            if response.status >= 300:
                self._connection.read(response)
        for line in self._connection.lines(response):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise error_of(int(event["object"].get("code") or 500), json.dumps(event["object"]).encode())
            if event["type"] != "BOOKMARK":
                yield event["type"], event["object"]

    def proxied(  # noqa: PLR0913, PLR0917 - what a request has
        self,
        pod: str,
        port: int,
        method: str,
        path: str,
        body: bytes | None,
        seconds: float,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Proxied:
        """What a pod answers to a request that goes through the API server, which passes `headers` on.

        Raises `ApiUnreachable` if it does not answer, `ApiForbidden` if we may not ask.
        """
        self.calls["proxy pods"] += 1
        whole = f"{POD.path(self.namespace, f'{pod}:{port}')}/proxy{path}"
        content = None if body is None else Body(body)
        with self._allowed(f"{method} proxy", POD):
            response = self._connection.send(method, whole, {}, content, seconds, again=False, more=headers)
            if response.status >= 400 and _is_status(response.data):
                error = error_of(response.status, response.data)
                raise error if not isinstance(error, Missing) else ApiUnreachable(404, str(error))
        return Proxied(response.status, response.data)

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """The last lines that a container, or the one before it, wrote; empty if there is nothing to read."""
        self.calls["log pods"] += 1
        query = {"container": container, "tailLines": str(lines), "previous": "true" if previous else ""}
        try:
            response = self._connection.send("GET", f"{POD.path(self.namespace, pod)}/log", query, again=False)
            return self._connection.read(response).decode("utf-8", "replace")
        except ApiError:
            return ""

    def knows(self, kind: Kind) -> bool:
        """Whether the cluster has that kind of objects."""
        try:
            found = self._asked("discover", kind, kind.root, {})
        except Missing:
            return False
        return any(each.get("name") == kind.plural for each in found.get("resources") or [])

    def _all_pages(self, kind: Kind, labels: str, fields: str) -> tuple[builtins.list[Object], str]:
        found: list[Object] = []
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(_PAGE), "continue": ""}
        while True:
            page = self._asked("list", kind, kind.path(self.namespace), query)
            found += page.get("items") or []
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return found, str(page["metadata"].get("resourceVersion", ""))

    def _asked(self, verb: str, kind: Kind, path: str, query: Mapping[str, str]) -> Object:
        self.calls[f"{verb} {kind.plural}"] += 1
        with self._allowed(verb, kind):
            return _object(self._connection.read(self._connection.send("GET", path, query)))

    def _changed(self, method: str, kind: Kind, path: str, body: Body) -> Object:
        try:
            return self._written(method, kind, path, {"fieldManager": MANAGER}, body)
        except Missing as error:
            raise Conflicting(error.status, str(error)) from error

    def _written(self, method: str, kind: Kind, path: str, query: Mapping[str, str], body: Body) -> Object:
        self.calls[f"{method.lower()} {kind.plural}"] += 1
        with self._allowed(method, kind):
            return _object(self._connection.read(self._connection.send(method, path, query, body)))

    @contextmanager
    def _allowed(self, verb: str, kind: Kind) -> Iterator[None]:
        """Remembers what was allowed, and tells a refusal that may pass from one that stands."""
        right = f"{verb} {kind.plural}"
        try:
            yield
        except ApiForbidden as error:
            if not is_missing_right(error) or self.rights.is_lost(right, self._is_starting):
                raise
            why = "asked for again: an API server that has just started refuses everybody"
            raise ApiUnreachable(error.status, f"{error} ({why})") from error
        except (Missing, Conflicting):
            self.rights.worked(right)
            raise
        self.rights.worked(right)

    def _is_starting(self) -> bool:
        """Whether the API server says that it is not ready yet; one that does not say it is."""
        try:
            status = self._connection.send("GET", "/readyz", {}, seconds=_READY_SECONDS, again=False).status
        except ApiError:
            return True
        return status in {403, 500, 503}


def _whole(kind: Kind, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"apiVersion": kind.version, "kind": kind.name, **manifest}


def _object(body: bytes) -> Object:
    """Raises `ApiUnreachable` where something else than an API server answered, such as a proxy's page."""
    try:
        found: Object = json.loads(body)
        found.keys()
        return found
    except (ValueError, AttributeError):
        raise ApiUnreachable(0, "what answered is no API server: its answer is no object") from None


def _is_status(body: bytes) -> bool:
    """Whether the API server speaks, and not the pod."""
    try:
        return bool(json.loads(body).get("kind") == "Status")
    except (ValueError, AttributeError):
        return False
