"""What prefect.yaml deploys can be run from Prefect's pages."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows.parameters import SteerRequest

DEPLOYED: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[3] / "prefect.yaml").read_text())["deployments"]
ASKED = {"steer": {"product", "verb"}, "rollout": {"product", "rollout_id"}}


@pytest.mark.parametrize("deployment", DEPLOYED, ids=[each["name"] for each in DEPLOYED])
def test_each_deployment_leads_to_the_flow_of_its_name_and_asks_for_what_has_no_default(
    deployment: dict[str, Any],
) -> None:
    module, _, function = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), function)
    assert flow.name == deployment["name"]
    request = flow.fn.__annotations__["request"]
    required = {name for name, field in request.model_fields.items() if field.is_required()}
    assert deployment["parameters"] == {}
    assert required == ASKED.get(deployment["name"], {"product"})


def test_an_order_without_a_verb_is_refused() -> None:
    with pytest.raises(ValidationError, match="verb"):
        SteerRequest.model_validate({"product": "flights"})
    assert SteerRequest.model_validate({"product": "flights", "verb": "approve"}).verb == "approve"
