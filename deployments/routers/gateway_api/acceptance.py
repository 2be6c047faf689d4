"""What gateways say of a route: whether they took it, and if not, why."""

from collections.abc import Mapping
from typing import Any, Final

# Both must be True of each parent; the rest of the conditions are for people.
_NEEDED: Final = ("Accepted", "ResolvedRefs")


def refusal_of(route: Mapping[str, Any]) -> str | None:
    """Why a gateway does not take the route as it is now; empty if all that is attached do, None while nobody said."""
    generation = route["metadata"].get("generation", 0)
    parents = (route.get("status") or {}).get("parents") or []
    said = False
    for parent in parents:
        conditions = {each["type"]: each for each in parent.get("conditions") or []}
        for kind in _NEEDED:
            condition = conditions.get(kind)
            if condition is None or condition.get("observedGeneration", generation) < generation:
                return None
            if condition["status"] != "True":
                return f"{kind} is {condition['status']}: {condition.get('reason')}: {condition.get('message')}"
        said = True
    return "" if said else None
