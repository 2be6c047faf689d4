"""What prefect.yaml deploys can be run from Prefect's pages."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows.deployment_definitions import _schedule, definitions
from flows.parameters import SteerRequest

ROOT = Path(__file__).parents[3]
DEPLOYED: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
ASKED = {"steer": {"verb"}, "rollout": {"rollout_id"}}


@pytest.mark.parametrize("deployment", DEPLOYED, ids=[each["name"] for each in DEPLOYED])
def test_each_deployment_leads_to_the_flow_of_its_name_and_asks_for_what_has_no_default(
    deployment: dict[str, Any],
) -> None:
    module, _, function = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), function)
    assert flow.name == (deployment["name"] if len(deployment["tags"]) == 1 else "release")
    request = flow.fn.__annotations__["request"]
    required = {name for name, field in request.model_fields.items() if field.is_required()}
    given = set(deployment["parameters"]["request"])
    assert given <= set(request.model_fields)
    assert required - given == ASKED.get(deployment["name"], set())


def test_prefect_yaml_names_the_products_of_this_project_as_their_specs_do() -> None:
    """So that `prefect deploy --all` brings what `seatrial deploy` brings."""
    found = definitions(ROOT / "prefect.yaml", True, ROOT / "specs")
    as_named = {each["name"]: each for each in DEPLOYED if len(each["tags"]) == 2}
    assert {each.name for each in found.wanted if each.flow == "release"} == set(as_named)
    for each in found.wanted:
        if each.flow == "release":
            named = as_named[each.name]
            schedules = [_schedule(schedule, 0) for schedule in named["schedules"]]
            told = (named["description"], sorted(named["tags"]), named["parameters"], schedules)
            fields = ("description", "tags", "parameters", "schedules")
            assert told == tuple(each.fields[field] for field in fields)


def test_an_order_without_a_verb_is_refused() -> None:
    with pytest.raises(ValidationError, match="verb"):
        SteerRequest.model_validate({"product": "flights"})
    assert SteerRequest.model_validate({"product": "flights", "verb": "approve"}).verb == "approve"
