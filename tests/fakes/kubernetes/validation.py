"""The checks that a client of ours can run into; not all that a real server makes."""

import json
import re

from .kinds import Json, Kind
from .refusals import forbidden, invalid
from .selection import matches_labels

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
DNS_NAME = re.compile(rf"{DNS_LABEL.pattern}(\.{DNS_LABEL.pattern})*")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
PATHLIKE = ("Role", "RoleBinding")
MOST_WEIGHT = 1_000_000
MOST_RULES = MOST_BACKENDS = 16
MOST_DATA = 1024 * 1024


def check(kind: Kind, thing: Json, before: Json | None) -> None:
    """Raises `Refused` (422) at the first field that must not be as it is; `before` is None for a new object."""
    _check_metadata(kind, thing)
    name = thing["metadata"]["name"]
    match kind.name:
        case "Deployment" | "ReplicaSet":
            _check_selector(kind, name, thing, before)
            _check_strategy(kind, name, thing["spec"].get("strategy") or {})
        case "HTTPRoute":
            _check_route(kind, name, thing["spec"])
        case "Service":
            _check_service(kind, name, thing, before)
        case "RoleBinding":
            _check_unchanged(kind, name, "roleRef", before and before.get("roleRef"), thing.get("roleRef"))
        case "ConfigMap" | "Secret":
            _check_data(kind, name, thing, before)
        case "Lease":
            _check_lease(kind, name, thing.get("spec") or {})


def _check_metadata(kind: Kind, thing: Json) -> None:
    metadata = thing["metadata"]
    name = metadata["name"]
    short = kind.name in ("Service", "Namespace")
    fits = (DNS_LABEL if short else DNS_NAME).fullmatch(name) and len(name) <= (63 if short else 253)
    if not fits and kind.name not in PATHLIKE:
        rule = "RFC 1123 label" if short else "RFC 1123 subdomain"
        why = f"a lowercase {rule} must consist of lower case alphanumeric characters, '-'" + (
            "" if short else " or '.'"
        )
        raise invalid(kind, name, "metadata.name", f'Invalid value: "{name}": {why}')
    for key, value in (metadata.get("labels") or {}).items():
        if not LABEL_KEY.fullmatch(key):
            raise invalid(
                kind,
                name,
                "metadata.labels",
                f"Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.'",
            )
        if not isinstance(value, str) or len(value) > 63 or not LABEL_VALUE.fullmatch(value):
            raise invalid(
                kind,
                name,
                "metadata.labels",
                f'Invalid value: "{value}": a valid label must be an empty '
                "string or consist of alphanumeric characters, '-', '_' or '.'",
            )


def _check_selector(kind: Kind, name: str, thing: Json, before: Json | None) -> None:
    spec = thing["spec"]
    if not spec.get("selector"):
        raise invalid(kind, name, "spec.selector", "Required value", "FieldValueRequired")
    labels = spec.get("template", {}).get("metadata", {}).get("labels") or {}
    if not matches_labels(spec["selector"], labels):
        why = f"Invalid value: {_compact(labels)}: `selector` does not match template `labels`"
        raise invalid(kind, name, "spec.template.metadata.labels", why)
    if not spec["template"].get("spec", {}).get("containers"):
        raise invalid(kind, name, "spec.template.spec.containers", "Required value", "FieldValueRequired")
    _check_unchanged(kind, name, "spec.selector", before and before["spec"]["selector"], spec["selector"])


def _check_strategy(kind: Kind, name: str, strategy: Json) -> None:
    if strategy.get("type") == "Recreate" and "rollingUpdate" in strategy:
        why = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        raise invalid(kind, name, "spec.strategy.rollingUpdate", why, "FieldValueForbidden")


def _check_route(kind: Kind, name: str, spec: Json) -> None:
    rules = spec.get("rules") or []
    if len(rules) > MOST_RULES:
        raise invalid(kind, name, "spec.rules", f"Too many: {len(rules)}: must have at most {MOST_RULES} items")
    for number, rule in enumerate(rules):
        backends = rule.get("backendRefs") or []
        where = f"spec.rules[{number}].backendRefs"
        if len(backends) > MOST_BACKENDS:
            raise invalid(kind, name, where, f"Too many: {len(backends)}: must have at most {MOST_BACKENDS} items")
        for place, backend in enumerate(backends):
            _check_backend(kind, name, f"{where}[{place}]", backend)
        for place, each in enumerate(rule.get("filters") or []):
            _check_filter(kind, name, f"spec.rules[{number}].filters[{place}]", each)


def _check_filter(kind: Kind, name: str, where: str, each: Json) -> None:
    type_ = each.get("type") or ""
    field = {"URLRewrite": "urlRewrite", "CORS": "cors"}.get(type_, type_[:1].lower() + type_[1:])
    if field not in each:
        why = f"Invalid value: filter.{field} must be specified for {type_} filter.type"
        raise invalid(kind, name, where, why)
    mirror = each.get("requestMirror") or {}
    if "percent" in mirror and "fraction" in mirror:
        why = "Invalid value: Only one of percent or fraction may be specified in HTTPRequestMirrorFilter"
        raise invalid(kind, name, f"{where}.requestMirror", why)
    percent, fraction = mirror.get("percent", 0), mirror.get("fraction", {"numerator": 0})
    if not 0 <= percent <= 100:
        raise invalid(kind, name, f"{where}.requestMirror.percent", f"Invalid value: {percent}: should be 0 to 100")
    if not 0 <= fraction["numerator"] <= fraction.get("denominator", 100):
        why = "Invalid value: numerator must be less than or equal to denominator"
        raise invalid(kind, name, f"{where}.requestMirror.fraction", why)


def _check_backend(kind: Kind, name: str, where: str, backend: Json) -> None:
    weight = backend.get("weight", 1)
    if not isinstance(weight, int):
        why = f'Invalid value: "{type(weight).__name__}": {where}.weight in body must be of type integer'
        raise invalid(kind, name, f"{where}.weight", why)
    if not 0 <= weight <= MOST_WEIGHT:
        bound = "greater than or equal to 0" if weight < 0 else f"less than or equal to {MOST_WEIGHT}"
        raise invalid(kind, name, f"{where}.weight", f"Invalid value: {weight}: should be {bound}")
    if backend.get("kind") == "Service" and backend.get("group") == "" and "port" not in backend:
        raise invalid(kind, name, where, "Invalid value: Must have port for Service reference")


def _check_service(kind: Kind, name: str, thing: Json, before: Json | None) -> None:
    spec = thing["spec"]
    if not spec.get("ports") and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        raise invalid(kind, name, "spec.ports", "Required value", "FieldValueRequired")
    _check_unchanged(kind, name, "spec.clusterIP", before and before["spec"].get("clusterIP"), spec.get("clusterIP"))


def _check_data(kind: Kind, name: str, thing: Json, before: Json | None) -> None:
    kept = not before or (thing.get("immutable") and thing.get("data") == before.get("data"))
    if before and before.get("immutable") and not kept:
        raise invalid(kind, name, "data", "Forbidden: field is immutable when `immutable` is set")
    data = thing.get("data") or {}
    if any(not isinstance(value, str) for value in data.values()):
        raise invalid(kind, name, "data", "Invalid value: a value of data must be a string")
    if sum(len(value.encode()) for value in data.values()) > MOST_DATA:
        raise invalid(kind, name, "", f"Too long: may not be more than {MOST_DATA} bytes", "FieldValueTooLong")


def _check_lease(kind: Kind, name: str, spec: Json) -> None:
    if spec.get("leaseDurationSeconds", 1) <= 0:
        why = f"Invalid value: {spec['leaseDurationSeconds']}: must be greater than 0"
        raise invalid(kind, name, "spec.leaseDurationSeconds", why)
    if spec.get("leaseTransitions", 0) < 0:
        why = f"Invalid value: {spec['leaseTransitions']}: must be greater than or equal to 0"
        raise invalid(kind, name, "spec.leaseTransitions", why)


def _check_unchanged(kind: Kind, name: str, field: str, before: object, after: object) -> None:
    if before is not None and before != after:
        raise invalid(kind, name, field, f"Invalid value: {_compact(after)}: field is immutable")


def check_namespace(kind: Kind, thing: Json, namespace: Json) -> None:
    """Raises `Refused` (403) if the namespace is on its way out."""
    if namespace["metadata"].get("deletionTimestamp"):
        why = (
            f"unable to create new content in namespace {namespace['metadata']['name']} because it is being terminated"
        )
        raise forbidden(kind, thing["metadata"]["name"], why)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
