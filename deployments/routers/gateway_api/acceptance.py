"""What a Gateway says of a route: whether it took it, and if not, why."""

from collections.abc import Mapping
from typing import Any, Final

from deployments.spec import GatewaySection

# Both must be True; the rest of the conditions are for people.
_NEEDED: Final = ("Accepted", "ResolvedRefs")


def refusal_of(route: Mapping[str, Any], gateway: GatewaySection) -> str | None:
    """Why `gateway` does not take the route as it is now; empty if it does, None while it said nothing.

    What other Gateways say that a route of the user's is attached to is their business.
    """
    generation = route["metadata"].get("generation", 0)
    said = False
    for parent in (route.get("status") or {}).get("parents") or []:
        if not _is_of(parent["parentRef"], gateway, route):
            continue
        conditions = {each["type"]: each for each in parent.get("conditions") or []}
        for kind in _NEEDED:
            condition = conditions.get(kind)
            if condition is None or condition.get("observedGeneration", generation) < generation:
                return None
            if condition["status"] != "True":
                return f"{kind} is {condition['status']}: {condition.get('reason')}: {condition.get('message')}"
        said = True
    return "" if said else None


def _is_of(reference: Mapping[str, Any], gateway: GatewaySection, route: Mapping[str, Any]) -> bool:
    home = route["metadata"].get("namespace")
    there = reference.get("namespace") or home
    return bool(reference["name"] == gateway.name and there == (gateway.namespace or home))
