"""Where, in how many copies and by which strategy a version is rolled out."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from deployments.durations import Duration
from deployments.spec.analysis import AnalysisSection
from deployments.spec.base_section import Section
from deployments.spec.feedback import FeedbackSection
from deployments.spec.kubernetes import KubernetesSection
from deployments.spec.server import ServerSection, StickyKey
from deployments.spec.strategies import ABSection, BlueGreenSection, CanarySection, ShadowSection, Strategy


class TargetKind(StrEnum):
    """Where the model servers run."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


class Second(StrEnum):
    """What becomes of a rollout that starts while another one of the product is under way."""

    REJECT = "reject"
    QUEUE = "queue"
    SUPERSEDE = "supersede"


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
    second: Second = Field(default=Second.REJECT, description="what becomes of a rollout while another is under way")
    key: StickyKey = Field(
        default=StickyKey(header="x-seatrial-key"), description="what keeps a user with one version while weights rise"
    )
    bake: Duration = Field(
        default=timedelta(minutes=5),
        description="how long the former champion stays warm, and the candidate watched, at 100 % (not for rolling)",
    )
    canary: CanarySection = Field(default=CanarySection(), description="for strategy canary")
    blue_green: BlueGreenSection = Field(default=BlueGreenSection(), description="for strategy blue_green")
    ab: ABSection = Field(default=ABSection(), description="for strategy ab")
    shadow: ShadowSection = Field(default=ShadowSection(), description="for strategy shadow")
    analysis: AnalysisSection = Field(default_factory=AnalysisSection, description="by what a candidate is judged")
    server: ServerSection = Field(default=ServerSection(), description="how the model servers behave")
    feedback: FeedbackSection = Field(default=FeedbackSection(), description="who may send feedback")
    kubernetes: KubernetesSection = Field(default=KubernetesSection(), description="for target kubernetes")

    @model_validator(mode="after")
    def _has_an_image(self) -> Self:
        if self.target is TargetKind.KUBERNETES and self.kubernetes.image is None:
            raise ValueError("target kubernetes needs kubernetes.image: an image with Seatrial in it")
        return self
