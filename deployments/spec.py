"""The rollout section of a product spec: what "deploy" means for this product, and by what it is judged."""

from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from deployments.durations import Duration
from deployments.errors import BadInput
from deployments.inference_logs import check_place

_METRIC = r"^(error_rate|latency|predictions|disagreement|accuracy|feedback\.[a-z][a-z0-9_]*)$"
# The last bound of the latency buckets (deployments/analysis/evidence.py).
_LONGEST_LATENCY_MS = 10_000
# From here on nothing could be worse than a margin.
_LARGEST_MARGINS = {"error_rate": 1.0, "disagreement": 1.0, "accuracy": 0.5}
# Percent to two decimals: the gateway splits by ten-thousandths.
Percent = Annotated[float, Field(gt=0, le=100, multiple_of=0.01)]


class Section(BaseModel):
    """A part of a product spec: strict, frozen, and closed to fields that nobody knows and numbers that are none."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


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


class Pace(StrEnum):
    """When a canary's weight rises."""

    CLOCK = "clock"  # after `wait` of observed healthy time
    EVIDENCE = "evidence"  # as soon as the proved bound on harm is acceptable at the next weight


class Second(StrEnum):
    """What becomes of a rollout that starts while another one of the product is under way."""

    REJECT = "reject"
    QUEUE = "queue"
    SUPERSEDE = "supersede"


class OnDeadline(StrEnum):
    """What is done when an observation has not come to its end by its deadline."""

    ROLL_BACK = "roll_back"
    PAUSE = "pause"  # a person decides
    PROMOTE = "promote"


class MetricRule(Section):
    """One thing that a candidate is judged by."""

    metric: str = Field(
        pattern=_METRIC,
        description="error_rate, latency, predictions, disagreement, accuracy or feedback.<name>",
    )
    margin: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="how much worse still counts as not worse: a difference of shares or means; for accuracy of the "
        "share of pairs in which only one version is right; for latency and predictions how many more answers, "
        "relatively, may fall behind any bound (0.5: half as many again)",
    )
    limit: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="circuit breaker whatever the champion does: the largest error rate or disagreement (0-1), or for "
        "latency the milliseconds that at most 1 % of the answers may exceed",
    )
    prove: bool = Field(
        default=False, description="whether `margin` must be proved kept before promotion; else only harm counts"
    )
    better: Literal["higher", "lower"] = Field(default="higher", description="only for feedback: what is good")
    range: tuple[float, float] = Field(
        default=(0.0, 1.0),
        description="only for feedback: smallest and largest value; what lies outside counts as the nearer of them",
    )
    dry_run: bool = Field(default=False, description="shown, but decides nothing")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.margin is None and self.limit is None:
            raise ValueError(f"{self.metric} has neither margin nor limit: give one, or it cannot decide anything")
        if self.prove and (self.margin is None or self.metric in {"latency", "predictions"}):
            raise ValueError(f"{self.metric} cannot be proved not worse: prove needs a margin, and a share or a mean")
        if self.limit is not None and self.metric not in {"error_rate", "latency", "disagreement"}:
            raise ValueError(f"{self.metric} takes no limit: only error_rate, latency and disagreement do")
        if self.limit is not None and self.metric != "latency" and self.limit >= 1:
            raise ValueError(f"limit {self.limit:g} of {self.metric} is no share: write one below 1, such as 0.1")
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range {list(self.range)} is empty: give the smallest value first")
        self._check_sizes()
        return self

    def _check_sizes(self) -> None:
        largest = _LARGEST_MARGINS.get(self.metric)
        if self.metric.startswith("feedback."):
            largest = self.range[1] - self.range[0]
        if largest is not None and self.margin is not None and self.margin >= largest:
            raise ValueError(f"margin {self.margin:g} of {self.metric} allows everything: write one below {largest:g}")
        if self.metric == "latency" and self.limit is not None and self.limit > _LONGEST_LATENCY_MS:
            raise ValueError(f"limit {self.limit:g} ms is longer than is measured: at most {_LONGEST_LATENCY_MS} ms")
        if self.prove and not self.margin:
            raise ValueError(f"margin 0 of {self.metric} is never proved kept: allow a little, such as 0.01")


def _default_metrics() -> tuple[MetricRule, ...]:
    return (
        MetricRule(metric="error_rate", margin=0.01, limit=0.1, prove=True),
        MetricRule(metric="latency", margin=1.0),
    )


class AnalysisSection(Section):
    """How a candidate under traffic is judged: anytime-valid, so that looking often costs nothing."""

    interval: Duration = Field(default=timedelta(seconds=10), gt=timedelta(0), description="time between two looks")
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.01, description="chance of ever rolling back a candidate that is no worse, over all metrics and looks"
    )
    beta: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.05, description="chance of promoting a candidate that is worse than a margin"
    )
    deadline: Duration = Field(
        default=timedelta(hours=24), gt=timedelta(0), description="how long one observation may take, holds included"
    )
    on_deadline: OnDeadline = Field(default=OnDeadline.ROLL_BACK, description="what is done then")
    split_tolerance: Annotated[float, Field(ge=0)] = Field(
        default=1.0,
        description="how far, relatively, the odds of meeting the candidate may be from the configured ones before the "
        "split is not to be trusted; sticky users come in lumps. 0: exactly as configured",
    )
    metrics: tuple[MetricRule, ...] = Field(
        default_factory=_default_metrics, min_length=1, description="what is judged; alpha and beta are shared out"
    )

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """By name of a feedback metric, the smallest and largest value that is taken."""
        return {
            rule.metric.removeprefix("feedback."): rule.range
            for rule in self.metrics
            if rule.metric.startswith("feedback.")
        }

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [rule.metric for rule in self.metrics]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"metrics named twice: {', '.join(twice)}")
        return self


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


class StickyKey(Section):
    """What keeps a user with one version: a header or cookie whose value is hashed."""

    header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,64}$", description="name of a request header")
    cookie: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="name of a cookie")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("give exactly one of header or cookie")
        return self


class LogSection(Section):
    """What the model servers keep of their answers, row by row, for monitoring and feedback."""

    enabled: bool = Field(default=True, description="whether anything is kept")
    sample: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0, description="share of the requests that are kept, by their id; all rows of a request or none"
    )
    folder: str | None = Field(
        default=None, min_length=1, description="folder or fsspec URL; None: inference-log in the home"
    )
    flush: Duration = Field(
        default=timedelta(seconds=10),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="how soon an answer is on the disk; what is younger is lost when a server is killed",
    )
    mask: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="features whose values are left out"
    )

    @field_validator("folder")
    @classmethod
    def _a_place(cls, folder: str | None) -> str | None:
        try:
            check_place(folder or "")
        except BadInput as error:
            raise ValueError(str(error)) from None
        return folder


class LimitsSection(Section):
    """What one request may hold and take, and how many are answered at once."""

    body: Annotated[int, Field(ge=1024, le=8 * 1024 * 1024)] = Field(
        default=8 * 1024 * 1024, description="bytes of a request, also once it is unpacked"
    )
    rows: Annotated[int, Field(ge=1, le=1_000_000)] = Field(default=100_000, description="rows of a request")
    time: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=1),
        le=timedelta(seconds=60),
        description="time from a request's headers to the end of its answer, whoever is slow",
    )
    in_flight: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=128, description="predictions that one server is asked for at once; 503 with Retry-After beyond"
    )


class ServerSection(Section):
    """How the model servers of a version behave. Read when a server is started, and kept until it ends."""

    limits: LimitsSection = Field(default=LimitsSection(), description="what a request may hold and take")
    missing: Literal["accept", "refuse"] = Field(default="accept", description="null in a feature")
    unknown_categories: Literal["accept", "refuse"] = Field(
        default="accept", description="a category that training never saw"
    )
    unknown_columns: Literal["refuse", "ignore"] = Field(
        default="refuse", description="a column that the model does not take; MLflow ignores it"
    )
    log: LogSection = Field(default=LogSection(), description="what is kept of the answers")


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
