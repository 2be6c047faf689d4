"""What the conditions of a route mean, whoever has written them."""

from typing import Any

import pytest

from deployments.routers.gateway_api.route_status import refusal_of
from deployments.spec import GatewaySection

GATEWAY = GatewaySection(name="public")


def condition(kind: str, status: str, generation: int = 3) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": "Why", "message": "so", "observedGeneration": generation}


def parent(
    accepted: str, resolved: str, generation: int = 3, *more: dict[str, Any], **reference: str
) -> dict[str, Any]:
    conditions = [condition("Accepted", accepted, generation), condition("ResolvedRefs", resolved, generation), *more]
    return {"parentRef": {"name": "public", **reference}, "conditions": conditions}


def refusal(*parents: dict[str, Any], gateway: GatewaySection = GATEWAY) -> str | None:
    route = {"metadata": {"namespace": "models", "generation": 3}, "status": {"parents": list(parents)}}
    return refusal_of(route, gateway)


TAKEN, REFUSED, FORMER = parent("True", "True"), parent("False", "True"), parent("True", "True", 2)


@pytest.mark.parametrize(
    ("parents", "said"),
    [
        ([], None),
        ([TAKEN], ""),
        ([REFUSED], "Accepted is False: Why: so"),
        ([parent("True", "False")], "ResolvedRefs is False: Why: so"),
        ([FORMER], None),
        ([parent("Unknown", "Unknown")], None),
        ([parent("True", "Unknown")], None),
        ([parent("True", "True", 3, condition("PartiallyInvalid", "True"))], "PartiallyInvalid is True: Why: so"),
        ([parent("True", "True", 3, condition("PartiallyInvalid", "True", 2))], ""),
        ([parent("True", "True", 3, condition("PartiallyInvalid", "False"))], ""),
        ([FORMER, TAKEN], ""),
        ([FORMER, REFUSED], "Accepted is False: Why: so"),
        ([REFUSED, TAKEN], ""),
        ([{**REFUSED, "parentRef": {"name": "public", "kind": "Service", "group": ""}}, TAKEN], ""),
        ([{**TAKEN, "parentRef": {"name": "public", "kind": "Service", "group": ""}}], None),
        ([parent("True", "True", namespace="elsewhere")], None),
        ([parent("True", "True", namespace="models")], ""),
    ],
)
def test_a_route_is_taken_if_its_gateway_says_so_of_what_it_is_now(parents: list[Any], said: str | None) -> None:
    assert refusal(*parents) == said


def test_only_the_listener_counts_that_the_spec_names() -> None:
    gateway = GatewaySection(name="public", listener="https")
    http = parent("True", "True", sectionName="http")
    https = parent("False", "True", sectionName="https")
    assert refusal(http, https, gateway=gateway) == "Accepted is False: Why: so"
    assert refusal(http, gateway=gateway) is None
    assert refusal(TAKEN, gateway=gateway) == ""
