"""Which fields there are and what they hold: for built-in kinds as the official client's models say."""

import json
import re
from functools import cache
from typing import Any

import kubernetes.client

from .kinds import Json, Kind
from .refusals import Refused, bad_request, status

MODELS = {"Event": "CoreV1Event", "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler"}
QUANTITIES = frozenset({"limits", "requests", "capacity", "hard", "averageValue", "value", "sizeLimit", "divisor"})
MICRO_TIMES = frozenset({"acquireTime", "renewTime", "eventTime"})
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
JSON_TYPES = {"int": int, "bool": bool, "str": str, "float": (int, float), "datetime": str, "bytes": str}
TOP = {"apiVersion": "str", "kind": "str", "metadata": "V1ObjectMeta", "status": "object"}
REFERENCE = {"group": "str", "kind": "str", "name": "str", "namespace": "str"}
GATEWAY_TYPES: dict[str, dict[str, str]] = {
    "HTTPRoute": {**TOP, "spec": "RouteSpec"},
    "Gateway": {**TOP, "spec": "GatewaySpec"},
    "GatewayClass": {**TOP, "spec": "object"},
    "ReferenceGrant": {**TOP, "spec": "object"},
    "RouteSpec": {"parentRefs": "List[Parent]", "hostnames": "List[str]", "rules": "List[Rule]"},
    "Parent": {**REFERENCE, "sectionName": "str", "port": "int"},
    "Rule": {
        "name": "str",
        "matches": "List[Match]",
        "filters": "List[Filter]",
        "backendRefs": "List[Backend]",
        "timeouts": "object",
        "retry": "object",
        "sessionPersistence": "object",
    },
    "Match": {"path": "Term", "headers": "List[Term]", "queryParams": "List[Term]", "method": "str"},
    "Term": {"type": "str", "name": "str", "value": "str"},
    "Backend": {**REFERENCE, "port": "int", "weight": "int", "filters": "List[Filter]"},
    "Filter": {
        "type": "str",
        "requestHeaderModifier": "object",
        "responseHeaderModifier": "object",
        "requestMirror": "Mirror",
        "requestRedirect": "object",
        "urlRewrite": "object",
        "cors": "object",
        "extensionRef": "object",
        "externalAuth": "object",
    },
    "Mirror": {"backendRef": "MirrorBackend", "percent": "int", "fraction": "Fraction"},
    "MirrorBackend": {**REFERENCE, "port": "int"},
    "Fraction": {"numerator": "int", "denominator": "int"},
    "GatewaySpec": {
        "gatewayClassName": "str",
        "listeners": "List[object]",
        "addresses": "List[object]",
        "infrastructure": "object",
        "allowedListeners": "object",
        "defaultScope": "str",
        "tls": "object",
    },
}


class _Reading:
    """One object, held against what its kind has."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.unknown: list[str] = []

    def read(self, value: Any, type_: str, path: str, name: str) -> Any:
        """`value` without what is unknown. Raises `Refused` (400) at a value of another type."""
        if value is None or type_ == "object":
            return value
        if type_.startswith("List["):
            self._expect(value, list, type_, path)
            return [self.read(item, type_[5:-1], f"{path}[{at}]", name) for at, item in enumerate(value)]
        if type_.startswith("Dict["):
            self._expect(value, dict, type_, path)
            inner = type_.split(", ", 1)[1][:-1]
            return {key: self.read(below, inner, f"{path}.{key}", name) for key, below in value.items()}
        if type_ in JSON_TYPES:
            self._scalar(value, type_, path, name)
            return value
        self._expect(value, dict, type_, path)
        fields = fields_of(type_)
        above = f"{path}." if path else ""
        self.unknown += [f"{above}{key}" for key in value if key not in fields]
        return {
            key: self.read(below, fields[key], f"{above}{key}", key) for key, below in value.items() if key in fields
        }

    def _scalar(self, value: Any, type_: str, path: str, name: str) -> None:
        if name in QUANTITIES and type_ == "str" and isinstance(value, int | float):
            return
        self._expect(value, JSON_TYPES[type_], type_, path)
        if type_ == "int" and isinstance(value, bool):
            raise self._wrong(value, type_, path)
        if type_ != "datetime":
            return
        if not (MICRO_TIME if name in MICRO_TIMES else TIME).fullmatch(value):
            layout = "2006-01-02T15:04:05" + (".000000" if name in MICRO_TIMES else "") + "Z07:00"
            raise self._unhandled(f"parsing time {json.dumps(value)} as {json.dumps(layout)}: cannot parse it")

    def _expect(self, value: Any, wanted: Any, type_: str, path: str) -> None:
        if not isinstance(value, wanted):
            raise self._wrong(value, type_, path)

    def _wrong(self, value: Any, type_: str, path: str) -> Refused:
        told = {str: "string", int: "number", float: "number", bool: "bool", list: "array", dict: "object"}[type(value)]
        return self._unhandled(f"json: cannot unmarshal {told} into Go struct field {path} of type {type_}")

    def _unhandled(self, why: str) -> Refused:
        name, version = self.kind.name, self.kind.version
        return bad_request(f'{name} in version "{version}" cannot be handled as a {name}: {why}')


def known_part(kind: Kind, thing: Json) -> tuple[Json, list[str]]:
    """The object without the fields that its kind does not have, and these. Raises `Refused` (400) at a wrong type."""
    reading = _Reading(kind)
    known: Json = reading.read(thing, kind.name if kind.custom else _model_of(kind), "", "")
    return known, reading.unknown


def refuse_unknown(kind: Kind, wanted: Json, key: tuple[str, str]) -> None:
    """Raises `Refused` (500, as the real server does) if an applied object has fields that there are not."""
    _, unknown = known_part(kind, wanted)
    if unknown:
        called = f"{key[0]}/{key[1]}; {kind.full_name}"
        why = f".{unknown[0]}: field not declared in schema"
        raise Refused(status(500, "", f"failed to create typed patch object ({called}): {why}"))


@cache
def fields_of(type_: str) -> dict[str, str]:
    """The fields of a type by their names in JSON."""
    if type_ in GATEWAY_TYPES:
        return GATEWAY_TYPES[type_]
    model = getattr(kubernetes.client, type_)
    return {model.attribute_map[name]: of for name, of in model.openapi_types.items()}


def _model_of(kind: Kind) -> str:
    return MODELS.get(kind.name, f"V1{kind.name}")
