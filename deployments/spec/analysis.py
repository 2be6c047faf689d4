"""By what a candidate is judged."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from deployments.durations import Duration
from deployments.spec.base_section import Section

_METRIC = r"^(error_rate|latency|predictions|disagreement|accuracy|feedback\.[a-z][a-z0-9_]*)$"
# The last bound of the latency buckets (deployments/analysis/evidence.py).
_LONGEST_LATENCY_MS = 10_000
# From here on nothing could be worse than a margin.
_LARGEST_MARGINS = {"error_rate": 1.0, "disagreement": 1.0, "accuracy": 0.5}


class OnDeadline(StrEnum):
    """What is done when an observation has not come to its end by its deadline."""

    ASK_IF_FEW = "ask_if_few"  # rolled back, but where too few users came for any proof, a person decides
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
    on_deadline: OnDeadline = Field(
        default=OnDeadline.ASK_IF_FEW,
        description="what is done then; ask_if_few: rolled back, unless too few users came for any proof, where a "
        "person decides",
    )
    split_tolerance: Annotated[float, Field(ge=0)] = Field(
        default=1.0,
        description="how far, relatively, the odds of meeting the candidate may be from the configured ones before the "
        "split is not to be trusted; sticky users come in lumps. 0: exactly as configured",
    )
    chosen_keys: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.15,
        description="part of the traffic whose senders may have chosen their sticky keys so as to meet one version: so "
        "much may be amiss with the split of requests with a key. 0: none",
    )
    given_up: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0,
        description="as what part of an error a request counts whose client left before the answer, in both versions",
    )
    caution: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1,
        description="a promotion waits while a metric stands at this part of the evidence that proves harm, or beyond. "
        "1: it never waits",
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
