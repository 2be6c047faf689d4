"""Label and field selectors."""

import re
from collections.abc import Callable
from typing import Any

from .kinds import Json, Kind
from .refusals import bad_request

LABEL = r"[A-Za-z0-9][A-Za-z0-9_./-]*"
TERM = re.compile(
    rf"\s*(?:(?P<key>{LABEL})\s+(?P<set>in|notin)\s*\((?P<values>[^)]*)\)"
    rf"|(?P<left>{LABEL})\s*(?P<equals>==|=|!=)\s*(?P<right>[A-Za-z0-9_.-]*)"
    rf"|(?P<absent>!?)\s*(?P<present>{LABEL}))\s*(?:,|$)"
)
SELECTABLE_FIELDS = {
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    ),
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "Node": ("spec.unschedulable",),
    "ReplicaSet": ("status.replicas",),
    "Job": ("status.successful",),
}

Test = Callable[[Json], bool]


def selection(kind: Kind, labels: str, fields: str) -> Test:
    """Says of an object whether both selectors, as they stand in the query, select it. Raises `Refused` (400)."""
    tests = [*_label_tests(labels), *_field_tests(kind, fields)]
    return lambda thing: all(test(thing) for test in tests)


def matches_labels(selector: Json | None, labels: Json) -> bool:
    """Whether a LabelSelector object selects these labels; an empty one selects everything, None nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(term, labels) for term in selector.get("matchExpressions") or [])


def _meets(term: Json, labels: Json) -> bool:
    value = labels.get(term["key"])
    match term["operator"]:
        case "In":
            return value in term["values"]
        case "NotIn":
            return value not in term["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def _label_tests(text: str) -> list[Test]:
    tests: list[Test] = []
    place = 0
    while place < len(text):
        term = TERM.match(text, place)
        if term is None:
            raise bad_request(f"unable to parse requirement: found '{text[place:]}', expected: identifier")
        tests.append(_label_test(term))
        place = term.end()
    return tests


def _label_test(term: re.Match[str]) -> Test:
    if term["set"]:
        values = {value.strip() for value in term["values"].split(",")}
        key, inside = term["key"], term["set"] == "in"
        return lambda thing: (_labels(thing).get(key) in values) == inside
    if term["equals"]:
        left, right, equal = term["left"], term["right"], term["equals"] != "!="
        return lambda thing: (_labels(thing).get(left) == right) == equal
    present, wanted = term["present"], not term["absent"]
    return lambda thing: (present in _labels(thing)) == wanted


def _labels(thing: Json) -> Json:
    return thing["metadata"].get("labels") or {}


def _field_tests(kind: Kind, text: str) -> list[Test]:
    tests: list[Test] = []
    for term in filter(None, text.split(",")):
        parsed = re.fullmatch(r"\s*([A-Za-z0-9.]+)\s*(==|=|!=)\s*(.*?)\s*", term)
        if parsed is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        name, operator, value = parsed.groups()
        if name not in ("metadata.name", "metadata.namespace", *SELECTABLE_FIELDS.get(kind.name, ())):
            raise bad_request(f"field label not supported: {name}")
        tests.append(_field_test(name, value, equal=operator != "!="))
    return tests


def _field_test(name: str, value: str, equal: bool) -> Test:
    return lambda thing: (_field(thing, name) == value) == equal


def _field(thing: Json, name: str) -> str:
    if name == "source":
        name = "source.component"
    found: Any = thing
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, bool):
        return str(found).lower()
    return "" if found is None else str(found)
