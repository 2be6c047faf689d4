"""From a request to its answer: the verbs of the API, without sockets."""

from collections.abc import Callable
from dataclasses import dataclass

from .bodies import Answer, as_json, encoded, is_watch, object_in
from .discovery import discovered
from .faults import Faults, Request
from .kinds import BY_NAME, Json
from .lifecycle import Lifecycle
from .reading import Reading
from .refusals import Refused, method_not_allowed, not_found, status
from .routing import NoSuchPath, Target, target_of
from .writing import Writing

ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a pod answered through the proxy of the API server."""

    code: int
    body: bytes
    content_type: str = "application/json"


PodProxy = Callable[[Request, Target], Proxied | None]


class Answers:
    """The API: `answer` takes every request there is.

    `settle` lets the controllers work after each write; `proxy` answers for pods, None where one cannot be reached."""

    def __init__(self, lifecycle: Lifecycle, faults: Faults, settle: Callable[[], None]) -> None:
        self.proxy: PodProxy = lambda request, target: None
        self.reading = Reading(lifecycle, faults)
        self._writing = Writing(lifecycle, faults)
        self._store = lifecycle.store
        self._faults = faults
        self._settle = settle

    def answer(self, request: Request) -> tuple[Answer, bool]:
        """The answer, and whether it is to be lost on the way."""
        lost = False
        try:
            lost = self._faults.meet(request)
            return self._answer(request), lost
        except NoSuchPath as missing:
            return Answer(missing.code, b"404 page not found\n", "text/plain; charset=utf-8"), lost
        except Refused as refusal:
            return Answer(refusal.code, encoded(refusal.status), headers=refusal.headers), lost

    def _answer(self, request: Request) -> Answer:
        switched_off = self._faults.switched_off_groups
        if request.path == ACCESS_REVIEWS and request.method == "POST":
            return as_json(201, self._access_review(object_in(request.body)))
        if self._faults.starting and request.path == "/readyz":
            return Answer(500, b"[-]poststarthook/rbac/bootstrap-roles failed: not finished", "text/plain")
        if request.method == "GET" and (found := discovered(request.path, switched_off)):
            return Answer(200, found.encode(), "text/plain") if isinstance(found, str) else as_json(200, found)
        target = target_of(request.path, switched_off)
        self._faults.refuse_forbidden(_verb(request, target), target)
        if target.subresource == "proxy":
            return self._proxied(request, target)
        self._faults.refuse_conflict(request.method, target)
        if target.subresource == "log" and request.method != "GET":
            raise method_not_allowed()
        with self._store.lock:
            return self._within_lock(request, target)

    def _within_lock(self, request: Request, target: Target) -> Answer:
        match request.method:
            case "GET" if target.name:
                return self.reading.get(request, target)
            case "GET":
                return (self.reading.watch if is_watch(request) else self.reading.list_all)(request, target)
            case "POST" if target.subresource == "eviction":
                answer = self._writing.evict(request, target)
            case "POST" if not target.name:
                answer = self._writing.create(request, target)
            case "PUT" if target.name:
                answer = self._writing.replace(request, target)
            case "PATCH" if target.name:
                answer = self._writing.patch(request, target)
            case "DELETE" if not target.subresource:
                answer = (self._writing.delete if target.name else self._writing.delete_all)(request, target)
            case _:
                raise method_not_allowed()
        self._settle()
        return answer

    def _proxied(self, request: Request, target: Target) -> Answer:
        name = target.name.split(":")[-2] if ":" in target.name else target.name
        pod = BY_NAME["Pod"]
        with self._store.lock:
            found = self._store.get(pod, target.namespace, name)
            if found is None:
                raise not_found(pod, name)
            address = f"{found.get('status', {}).get('podIP', '')}:{target.name.rpartition(':')[2]}"
        proxied = self.proxy(request, target)
        if proxied is None:
            why = f"error trying to reach service: dial tcp {address}: connect: connection refused"
            raise Refused(status(503, "ServiceUnavailable", why))
        return Answer(proxied.code, proxied.body, proxied.content_type)

    def _access_review(self, review: Json) -> Json:
        asked = review.get("spec", {}).get("resourceAttributes", {})
        resource = "/".join(filter(None, (asked.get("resource", ""), asked.get("subresource", ""))))
        allowed = self._faults.allows(asked.get("verb", ""), asked.get("group", ""), resource, asked.get("name", ""))
        told = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {}}
        return {**told, "spec": review.get("spec", {}), "status": {"allowed": allowed}}


def _verb(request: Request, target: Target) -> str:
    """As RBAC calls it."""
    match request.method:
        case "GET" if target.name:
            return "get"
        case "GET":
            return "watch" if is_watch(request) else "list"
        case "DELETE" if not target.name:
            return "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method, "get")
