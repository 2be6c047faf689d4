"""What a request may hold: the parameters of the flows, without the product, which stands in the path."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from deployments.spec import Strategy

_ONE_LINE: Final = r"^[^\u0000-\u001f\u007f]*$"

_Strategy = Annotated[Strategy, Field(strict=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OrderBody(_Body):
    """An order to the rollout that is under way."""

    reason: str = Field(
        default="", max_length=500, pattern=_ONE_LINE, description="why, for the history: one line of text"
    )


class ReleaseBody(_Body):
    """A release: train on the newest window, and roll out what is good enough."""

    strategy: Annotated[Strategy, Field(strict=False)] | None = Field(
        default=None, description="instead of the spec's rollout.strategy"
    )
    window: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        pattern=_ONE_LINE,
        description="instead of the spec's data.window: START..END, a length such as 60d, or -60d..-1d",
    )
    replicas: int | None = Field(default=None, ge=1, le=32, description="instead of the spec's rollout.replicas")


class RetryBody(_Body):
    """A rollout of a registered version, without training."""

    version: int | None = Field(
        default=None, ge=1, description="which one; left out: the newest that was refused or never finished"
    )
    strategy: Annotated[Strategy, Field(strict=False)] | None = Field(
        default=None, description="instead of the spec's rollout.strategy"
    )


class RollbackBody(_Body):
    """A former version back to all traffic."""

    version: int | None = Field(default=None, ge=1, description="which one; left out: the champion before the present")
