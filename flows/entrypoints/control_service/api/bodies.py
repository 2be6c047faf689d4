"""What a request may hold: the parameters of the flows, without the product, which stands in the path."""

from pydantic import BaseModel, ConfigDict, Field

from deployments.spec import Strategy


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OrderBody(_Body):
    """An order to the rollout that is under way."""

    reason: str = Field(default="", max_length=500, description="why, for the history")


class ReleaseBody(_Body):
    """A release: train on the newest window, and roll out what is good enough."""

    strategy: Strategy | None = Field(default=None, description="instead of the spec's rollout.strategy")
    window: str | None = Field(
        default=None,
        max_length=100,
        description="instead of the spec's data.window: START..END, a length such as 60d, or -60d..-1d",
    )
    replicas: int | None = Field(default=None, ge=1, le=32, description="instead of the spec's rollout.replicas")


class RetryBody(_Body):
    """A rollout of a registered version, without training."""

    version: int | None = Field(
        default=None, ge=1, description="which one; left out: the newest that was refused or never finished"
    )
    strategy: Strategy | None = Field(default=None, description="instead of the spec's rollout.strategy")


class RollbackBody(_Body):
    """A former version back to all traffic."""

    version: int | None = Field(default=None, ge=1, description="which one; left out: the champion before the present")
