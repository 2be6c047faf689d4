"""The rollout section of a product spec: what "deploy" means for this product."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from deployments.durations import Duration


class Section(BaseModel):
    """A part of a product spec: strict, frozen, and closed to fields that nobody knows."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Strategy(StrEnum):
    """How traffic moves from the champion to the candidate."""

    ROLLING = "rolling"
    BLUE_GREEN = "blue_green"
    CANARY = "canary"
    AB = "ab"
    SHADOW = "shadow"


class TargetKind(StrEnum):
    """Where the model servers run."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


class RolloutSection(Section):
    """Where, in how many copies and by which strategy a version is rolled out."""

    target: TargetKind = Field(default=TargetKind.LOCAL, description="where the model servers run")
    strategy: Strategy = Field(default=Strategy.ROLLING, description="how traffic moves to the candidate")
    replicas: Annotated[int, Field(ge=1, le=32)] = Field(default=1, description="model servers per version")
    ready_timeout: Duration = Field(
        default=timedelta(seconds=60),
        gt=timedelta(0),
        description="how long new servers may take until ready; then the rollout is given up",
    )
    drain_timeout: Duration = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        description="how long requests in flight may take on the old servers",
    )
    verify_rows: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20,
        description="held-out rows sent to each new server before it gets traffic; answers must equal training's",
    )
