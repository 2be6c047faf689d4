"""What a run is asked for: the parameters of the flows, from which the Prefect pages draw a form."""

from pydantic import BaseModel, ConfigDict, Field

from deployments.spec import Strategy


class ReleaseRequest(BaseModel):
    """Release a product: train it on its newest window and roll it out, if it is good enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(description="name of a product in specs/, or the path of a spec", examples=["flights"])
    strategy: Strategy | None = Field(default=None, description="instead of the spec's rollout.strategy")
    window: str | None = Field(
        default=None,
        description="instead of the spec's data.window: START..END (either may be left out) or a length such as 60d",
        examples=["2013-02-01..2013-04-01", "60d"],
    )
    replicas: int | None = Field(default=None, ge=1, le=32, description="instead of the spec's rollout.replicas")


class RollbackRequest(BaseModel):
    """Bring a former version back to all traffic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(description="name of a product in specs/, or the path of a spec", examples=["flights"])
    version: int | None = Field(default=None, ge=1, description="which one; None: the champion before the present one")
