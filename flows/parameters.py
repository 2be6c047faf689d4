"""What a run is asked for: the parameters of the flows, from which the Prefect pages draw a form."""

from pathlib import Path
from typing import Any

from prefect.runtime import flow_run
from pydantic import BaseModel, ConfigDict, Field

from deployments.rollout.operator_commands import Verb
from deployments.settings import current
from deployments.spec import Strategy


def _products_here(schema: dict[str, Any]) -> None:
    """The form's examples: the products whose specs lie in the project."""
    from deployments.local_platform.prefect_deployments import products_in

    schema["examples"] = list(products_in(current().specs_folder)) or ["name-of-a-product"]


class ReleaseRequest(BaseModel):
    """Release a product: train it on its newest window and roll it out, if it is good enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(description="name of a product in specs/, or the path of one in there", examples=["flights"])
    strategy: Strategy | None = Field(default=None, description="instead of the spec's rollout.strategy")
    window: str | None = Field(
        default=None,
        description="instead of the spec's data.window: START..END (either may be left out), a length such as 60d, "
        "or back from the run's time, such as -60d..-1d",
        examples=["2013-02-01..2013-04-01", "60d", "-60d..-1d"],
    )
    replicas: int | None = Field(default=None, ge=1, le=32, description="instead of the spec's rollout.replicas")


def run_name() -> str:
    """Name of a flow run until its version is known: the product and what is done, such as `flights release`."""
    request = flow_run.parameters["request"]
    product = request["product"] if isinstance(request, dict) else request.product
    return f"{Path(product).stem} {flow_run.flow_name}"


class RolloutRequest(BaseModel):
    """A rollout that is in the journal, to be carried to its end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(description="name of the product", json_schema_extra=_products_here)
    rollout_id: str = Field(description="id of the rollout, as `seatrial history PRODUCT --json` shows it")


def rollout_name() -> str:
    """Name of the run that carries a rollout: the product, such as `flights rollout`."""
    request = flow_run.parameters["request"]
    product = request["product"] if isinstance(request, dict) else request.product
    return f"{product} rollout"


class RollbackRequest(BaseModel):
    """Bring a former version back to all traffic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(
        description="name of a product in specs/, or the path of one in there", json_schema_extra=_products_here
    )
    version: int | None = Field(default=None, ge=1, description="which one; empty: the champion before the present one")


class RetryRequest(BaseModel):
    """Roll out a registered version again, without training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(
        description="name of a product in specs/, or the path of one in there", json_schema_extra=_products_here
    )
    version: int | None = Field(
        default=None, ge=1, description="which one; empty: the newest that was refused or never finished"
    )
    strategy: Strategy | None = Field(default=None, description="instead of the spec's rollout.strategy")


class SteerRequest(BaseModel):
    """Tell the rollout of a product that is under way what to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(description="name of the product", json_schema_extra=_products_here)
    # Without a default: a run that is started or repeated without a verb must not approve anything.
    verb: Verb = Field(
        description="promote: all traffic now · skip: the present observation or question is over · approve: yes to "
        "the question · pause: weights stand still · resume · abort: the champion gets everything back"
    )
    reason: str = Field(default="", description="why, for the history")


def steer_name() -> str:
    """Name of a run that gives an order: the product and the verb, such as `flights abort`."""
    request = flow_run.parameters["request"]
    wanted = request if isinstance(request, dict) else request.model_dump(mode="json")
    return f"{wanted['product']} {wanted['verb']}"
