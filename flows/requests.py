"""What a run is asked for: the parameters of the flows, from which the Prefect pages draw a form."""

from pydantic import BaseModel, ConfigDict, Field

from deployments.spec import Strategy
from tasks.spec import Window


class ReleaseRequest(BaseModel):
    """Release a product: train it on its newest window and roll it out, if it is good enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(description="name of a product in specs/, or the path of a spec", examples=["flights"])
    strategy: Strategy | None = Field(default=None, description="instead of the spec's rollout.strategy")
    window: Window | None = Field(default=None, description="instead of the spec's data.window")
    replicas: int | None = Field(default=None, ge=1, le=32, description="instead of the spec's rollout.replicas")


class RollbackRequest(BaseModel):
    """Bring a former version back to all traffic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: str = Field(description="name of a product in specs/, or the path of a spec", examples=["flights"])
    version: int | None = Field(default=None, ge=1, description="which one; None: the champion before the present one")
