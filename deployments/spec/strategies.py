"""How traffic moves, strategy by strategy."""

from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from deployments.durations import Duration
from deployments.spec.base_section import Percent, Section


class Strategy(StrEnum):
    """How traffic moves from the champion to the candidate."""

    ROLLING = "rolling"
    BLUE_GREEN = "blue_green"
    CANARY = "canary"
    AB = "ab"
    SHADOW = "shadow"


class Pace(StrEnum):
    """When a canary's weight rises."""

    CLOCK = "clock"  # after `wait` of observed healthy time
    EVIDENCE = "evidence"  # as soon as the proved bound on harm is acceptable at the next weight


class CanaryStep(Section):
    """One weight of a canary."""

    weight: Percent = Field(description="percent of the requests that the candidate answers")
    wait: Duration | None = Field(default=None, description="observed healthy time at this weight; None: canary.wait")
    approve: bool = Field(default=False, description="whether a person must agree before the next weight")


def _step(value: Any) -> Any:
    return {"weight": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class CanarySection(Section):
    """Traffic rises step by step while the candidate is judged."""

    steps: tuple[Annotated[CanaryStep, BeforeValidator(_step)], ...] = Field(
        default=(CanaryStep(weight=5), CanaryStep(weight=10), CanaryStep(weight=25), CanaryStep(weight=50)),
        min_length=1,
        description="weights in percent, each a number or {weight, wait, approve}; 100 follows by itself",
    )
    wait: Duration = Field(default=timedelta(minutes=5), gt=timedelta(0), description="time at each weight")
    pace: Pace = Field(default=Pace.CLOCK, description="when the weight rises")
    acceptable_harm: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.002, description="for pace: evidence: share of all requests that may fail beyond the champion's"
    )

    @model_validator(mode="after")
    def _weights_rise(self) -> Self:
        for before, after in pairwise(self.steps):
            if after.weight <= before.weight:
                raise ValueError(f"weight {after.weight:g} does not rise above {before.weight:g}: weights must rise")
        if self.steps[-1].weight >= 100:
            raise ValueError("the last weight is 100: leave it out, the candidate gets all traffic by itself")
        return self


class BlueGreenSection(Section):
    """All traffic at once, after checks at the preview address; the old colour stays warm for `bake`."""

    preview: Duration = Field(
        default=timedelta(0), description="how long the preview address is open before the switch"
    )
    approve: bool = Field(default=False, description="whether a person must agree to the switch")


class MatchRule(Section):
    """Requests that go to the candidate whatever the shares."""

    header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,64}$", description="name of a request header")
    cookie: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="name of a cookie")
    value: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="its exact value")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("give exactly one of header or cookie")
        return self


class ABSection(Section):
    """A fixed share for a planned sample; the result is a report with intervals and a winner or none."""

    share: Annotated[float, Field(ge=0, lt=100, multiple_of=0.01)] = Field(
        default=50.0, description="percent of the requests that the candidate answers; 0: only those that match"
    )
    match: MatchRule | None = Field(default=None, description="requests that go to the candidate in any case")
    sample: Annotated[int, Field(ge=10)] = Field(default=1000, description="requests that each version must answer")
    then: Literal["report", "promote"] = Field(
        default="report", description="promote: a candidate that wins gets all traffic"
    )

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not self.share and self.match is None:
            raise ValueError("share 0 without match: nobody would ever meet the candidate")
        return self


class ShadowSection(Section):
    """A share of the requests is mirrored to the candidate, whose answers nobody gets; predictions are compared."""

    share: Percent = Field(default=100.0, description="percent of the requests that are mirrored")
    sample: Annotated[int, Field(ge=10)] = Field(default=1000, description="pairs of predictions to compare")
