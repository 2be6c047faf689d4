"""The verbs that change something: create, update, patch, delete."""

from . import schema
from .bodies import Answer, as_json, is_dry, object_in, parsed, says_true
from .faults import Faults, Request
from .kinds import BY_NAME, Json, Kind
from .lifecycle import Lifecycle
from .ownership import Manager
from .patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, accepted_patches, patched
from .preconditions import Deletion
from .reading import asked_selection, list_of
from .refusals import Refused, bad_request, invalid, method_not_allowed, status, success, unsupported_patch
from .routing import Target
from .scale import scale_of, scaled
from .selection import matches_labels
from .store import Store


class Writing:
    """Each method takes a request to its object, and answers with what became of it."""

    def __init__(self, lifecycle: Lifecycle, faults: Faults) -> None:
        self._lifecycle = lifecycle
        self._store: Store = lifecycle.store
        self._faults = faults

    def create(self, request: Request, target: Target) -> Answer:
        kind, sent = target.kind, object_in(request.body)
        _check_type(kind, sent)
        _check_namespace(target, sent)
        warnings = _warnings(request, kind, sent)
        made = self._lifecycle.create(kind, target.namespace, sent, _manager(request), dry=is_dry(request))
        return as_json(201, made, warnings)

    def replace(self, request: Request, target: Target) -> Answer:
        kind, sent, manager = target.kind, object_in(request.body), _manager(request, target.subresource)
        if target.subresource == "scale":
            changed = self._lifecycle.change(kind, target.key, lambda live: scaled(live, sent), manager)
            return as_json(200, scale_of(kind, changed))
        _check_type(kind, sent)
        _check_namespace(target, sent)
        metadata = sent.setdefault("metadata", {})
        _check_name(target, metadata)
        if self._store.get(kind, *target.key) is None and kind.created_by_put and not target.subresource:
            return as_json(201, self._lifecycle.create(kind, target.namespace, sent, manager, dry=is_dry(request)))
        self._lifecycle.live(kind, *target.key)
        warnings = _warnings(request, kind, sent)
        if not metadata.get("resourceVersion") and not kind.replaced_blindly:
            why = f"Invalid value: {kind.no_version}: must be specified for an update"
            raise invalid(kind, target.name, "metadata.resourceVersion", why)
        changed = self._lifecycle.change(kind, target.key, lambda _: sent, manager, dry=is_dry(request))
        return as_json(200, changed, warnings)

    def patch(self, request: Request, target: Target) -> Answer:
        if request.content_type == APPLY_PATCH:
            return self._apply(request, target)
        if request.content_type not in accepted_patches(target.kind):
            raise unsupported_patch(target.kind, accepted_patches(target.kind))
        patch, manager = parsed(request.body), _manager(request, target.subresource)

        def change(live: Json) -> Json:
            if target.subresource == "scale":
                how = request.content_type if request.content_type == JSON_PATCH else MERGE_PATCH
                return scaled(live, patched(target.kind, scale_of(target.kind, live), patch, how))
            return patched(target.kind, live, patch, request.content_type)

        changed = self._lifecycle.change(target.kind, target.key, change, manager, dry=is_dry(request))
        return as_json(200, scale_of(target.kind, changed) if target.subresource == "scale" else changed)

    def delete(self, request: Request, target: Target) -> Answer:
        kind, wanted = target.kind, _deletion(request)
        last, gone = self._lifecycle.delete(kind, target.key, wanted)
        if gone and kind.name != "Pod":
            return as_json(200, success(kind, target.name, last["metadata"]["uid"]))
        return as_json(200, last)

    def delete_all(self, request: Request, target: Target) -> Answer:
        kind, selected = target.kind, asked_selection(target.kind, request.query)
        things = [thing for thing in self._store.all(kind, target.namespace) if selected(thing)]
        for thing in things:
            key = thing["metadata"].get("namespace", ""), thing["metadata"]["name"]
            self._lifecycle.delete(kind, key, _deletion(request))
        return as_json(200, list_of(kind, {"resourceVersion": str(self._store.version)}, things))

    def evict(self, request: Request, target: Target) -> Answer:
        pod = self._lifecycle.live(target.kind, *target.key)
        for budget in self._store.all(BY_NAME["PodDisruptionBudget"], target.namespace):
            if not matches_labels(budget["spec"].get("selector"), pod["metadata"].get("labels") or {}):
                continue
            state = budget.get("status", {})
            if state.get("disruptionsAllowed", 0) < 1:
                needs = f"needs {state.get('desiredHealthy', 0)} healthy pods and has {state.get('currentHealthy', 0)}"
                why = f"The disruption budget {budget['metadata']['name']} {needs} currently"
                message = "Cannot evict pod as it would violate the pod's disruption budget."
                causes = [{"reason": "DisruptionBudget", "message": why}]
                raise Refused(status(429, "TooManyRequests", message, {"causes": causes}))
        self._lifecycle.delete(target.kind, target.key, Deletion(dry=is_dry(request)))
        return as_json(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})

    def _apply(self, request: Request, target: Target) -> Answer:
        kind, wanted, query = target.kind, object_in(request.body), request.query
        if not query.get("fieldManager"):
            why = "is required for apply patch"
            message = f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: {why}'
            raise Refused(status(422, "Invalid", message, {"group": "meta.k8s.io", "kind": "PatchOptions"}))
        for name in ("apiVersion", "kind"):
            if not wanted.get(name):
                raise bad_request(f"error decoding patch: Object '{name[0].upper()}{name[1:]}' is missing")
        _check_type(kind, wanted)
        _check_namespace(target, wanted)
        _check_name(target, wanted.get("metadata", {}))
        if self._store.get(kind, *target.key) is None:
            self._faults.refuse_forbidden("create", target)
        manager = Manager(query["fieldManager"], "Apply", target.subresource)
        force, dry = says_true(query.get("force")), is_dry(request)
        thing, new = self._lifecycle.apply(kind, target.key, wanted, manager, force=force, dry=dry)
        return as_json(201 if new else 200, thing)


def _check_type(kind: Kind, sent: Json) -> None:
    version, name = sent.get("apiVersion"), sent.get("kind")
    if version not in (None, kind.api_version):
        why = f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        raise bad_request(why)
    if name not in (None, kind.name):
        why = f'{name} in version "{kind.version}" cannot be handled as a {kind.name}: no kind "{name}" is registered'
        raise bad_request(why)


def _check_namespace(target: Target, sent: Json) -> None:
    named = (sent.get("metadata") or {}).get("namespace")
    if target.kind.namespaced and not target.namespace:
        raise method_not_allowed()
    if named and named != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _check_name(target: Target, metadata: Json) -> None:
    named = metadata.setdefault("name", target.name)
    if named != target.name:
        raise bad_request(f"the name of the object ({named}) does not match the name on the URL ({target.name})")


def _manager(request: Request, subresource: str = "") -> Manager:
    named = request.query.get("fieldManager") or request.user_agent.split("/")[0] or "unknown"
    return Manager(named, "Update", subresource)


def _deletion(request: Request) -> Deletion:
    asked = object_in(request.body) if request.body.strip() else {}
    wanted = asked.get("preconditions") or {}
    grace = asked.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    return Deletion(
        uid=wanted.get("uid") or "",
        version=wanted.get("resourceVersion") or "",
        policy=asked.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background",
        grace_seconds=None if grace is None else int(grace),
        dry=is_dry(request) or "All" in (asked.get("dryRun") or []),
    )


def _warnings(request: Request, kind: Kind, sent: Json) -> dict[str, str]:
    """What the server says of unknown fields, which it leaves out. Raises `Refused` (400) if the client is strict."""
    _, unknown = schema.known_part(kind, sent)
    wanted = request.query.get("fieldValidation", "Warn")
    if unknown and wanted == "Strict":
        raise bad_request("strict decoding error: " + ", ".join(f'unknown field "{field}"' for field in unknown))
    if not unknown or wanted == "Ignore":
        return {}
    return {"Warning": ", ".join(f'299 - "unknown field \\"{field}\\""' for field in unknown)}
