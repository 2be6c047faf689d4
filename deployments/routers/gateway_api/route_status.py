"""What a Gateway says of a route: whether it took it, and if not, why."""

from collections.abc import Mapping
from typing import Any, Final

from deployments.spec import GatewaySection

# Both must be True.
_NEEDED: Final = ("Accepted", "ResolvedRefs")
# True where a Gateway left out rules that it does not understand, maybe ours; other conditions are for people.
_PARTLY: Final = "PartiallyInvalid"


def refusal_of(route: Mapping[str, Any], gateway: GatewaySection) -> str | None:
    """Why `gateway` does not take the route as it is now; empty if it does, None while it said nothing.

    One of its listeners is enough. What other Gateways say that a route of the user's is attached to is their business.
    """
    generation = route["metadata"].get("generation", 0)
    parents = (route.get("status") or {}).get("parents") or []
    said = [_refusal(each, generation) for each in parents if _is_of(each["parentRef"], gateway, route)]
    return "" if "" in said else next(filter(None, said), None)


def _refusal(parent: Mapping[str, Any], generation: int) -> str | None:
    """The same of one parent as one controller sees it: there may be words of one that is there no longer."""
    conditions = {each["type"]: each for each in parent.get("conditions") or []}
    for kind in _NEEDED:
        condition = conditions.get(kind)
        if condition is None or condition["status"] == "Unknown" or _is_stale(condition, generation):
            return None
        if condition["status"] != "True":
            return _told(condition)
    partly = conditions.get(_PARTLY)
    if partly is not None and partly["status"] == "True" and not _is_stale(partly, generation):
        return _told(partly)
    return ""


def _is_stale(condition: Mapping[str, Any], generation: int) -> bool:
    return bool(condition.get("observedGeneration", generation) < generation)


def _told(condition: Mapping[str, Any]) -> str:
    return f"{condition['type']} is {condition['status']}: {condition.get('reason')}: {condition.get('message')}"


def _is_of(reference: Mapping[str, Any], gateway: GatewaySection, route: Mapping[str, Any]) -> bool:
    home = route["metadata"].get("namespace")
    there = reference.get("namespace") or home
    listeners = {None, gateway.listener} if gateway.listener else {reference.get("sectionName")}
    return bool(
        reference.get("kind", "Gateway") == "Gateway"
        and reference["name"] == gateway.name
        and there == (gateway.namespace or home)
        and reference.get("sectionName") in listeners
    )
