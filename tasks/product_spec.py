"""A product spec: everything Seatrial needs to know of a product, section by section.

Its data section stands in `data_spec.py`. `spec_file.py` reads one from its YAML file and tells every mistake at once.
"""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from deployments.durations import Duration
from deployments.spec import RolloutSection, Section
from deployments.trusted_types import refusal
from tasks.data_spec import (
    Column,
    ColumnSection,
    ColumnType,
    DataSection,
    DecimalSign,
    Format,
    Source,
    SplitRule,
    Window,
    as_moment,
)
from tasks.problem_types import TaskKind
from tasks.schedule_spec import ScheduleSection

__all__ = [
    "Backend",
    "CategoricalColumns",
    "Column",
    "ColumnSection",
    "ColumnType",
    "Comparison",
    "DataSection",
    "DecimalSign",
    "DottedName",
    "Encode",
    "ExecutionSection",
    "Format",
    "GateSection",
    "Impute",
    "ModelSection",
    "MonitoringSection",
    "NumericColumns",
    "Output",
    "PreprocessingSection",
    "ProductSpec",
    "Scale",
    "Source",
    "SplitRule",
    "Threshold",
    "ValidationSection",
    "Window",
    "as_moment",
]

_GATEWAYS_OWN = {"v2", "seatrial"}
DottedName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


class ValidationSection(Section):
    """What the data must satisfy before anything is trained."""

    suite: str = Field(
        description="Great Expectations suite (JSON); relative to the spec's folder; `seatrial profile` proposes one"
    )
    known_before_target: tuple[Column, ...] = Field(
        default=(), description="features that may give the target away entirely: they are known before it, and meant"
    )
    guarded: tuple[Column, ...] = Field(
        default=(),
        description="columns beside those of data and preprocessing whose critical checks may refuse a release",
    )


class Impute(StrEnum):
    """What takes the place of a missing number."""

    MEDIAN = "median"
    MEAN = "mean"
    ZERO = "zero"
    NONE = "none"


class Scale(StrEnum):
    """How numbers are scaled."""

    STANDARD = "standard"
    NONE = "none"


class Encode(StrEnum):
    """How categories become numbers."""

    ONE_HOT = "one_hot"
    ORDINAL = "ordinal"


class NumericColumns(Section):
    """Numbers; missing ones are imputed with what training saw."""

    columns: tuple[Column, ...] = Field(min_length=1)
    impute: Impute = Impute.MEDIAN
    scale: Scale = Scale.STANDARD


class CategoricalColumns(Section):
    """Categories (text, booleans, whole numbers); unseen and missing ones form a category of their own."""

    columns: tuple[Column, ...] = Field(min_length=1)
    encode: Encode = Encode.ONE_HOT
    min_frequency: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="rarer categories are put together; left out: none are"
    )


class PreprocessingSection(Section):
    """How columns become features. It is part of the model, so that what is served is what was trained."""

    numeric: NumericColumns | None = None
    categorical: CategoricalColumns | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """All feature columns, numeric first, in the spec's order."""
        numeric = self.numeric.columns if self.numeric else ()
        return numeric + (self.categorical.columns if self.categorical else ())

    @model_validator(mode="after")
    def _some_features(self) -> Self:
        if not self.features:
            raise ValueError("no features: name columns under numeric or categorical")
        twice = sorted({name for name in self.features if self.features.count(name) > 1})
        if twice:
            raise ValueError(f"columns named more than once: {', '.join(twice)}")
        return self


class Output(StrEnum):
    """What a prediction is: the estimator's own answer, or the probability of each class."""

    PREDICTION = "prediction"
    PROBABILITY = "probability"


class ModelSection(Section):
    """What is trained: an estimator by import path with parameters, or a factory function of your own."""

    task: TaskKind
    estimator: DottedName | None = Field(
        default=None, description="class by import path, such as sklearn.linear_model.LogisticRegression"
    )
    factory: DottedName | None = Field(
        default=None,
        description="your function by import path: called with the parameters, returns an unfitted estimator",
    )
    parameters: Mapping[str, JsonValue] = Field(
        default_factory=dict, description="keyword arguments of the estimator or factory"
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="random_state wherever the estimator takes one")
    output: Output = Field(default=Output.PREDICTION, description="what the server answers with")
    trusted_types: tuple[DottedName, ...] = Field(
        default=(), description="further types that the stored model may hold (your own classes)"
    )

    @model_validator(mode="after")
    def _one_maker(self) -> Self:
        if (self.estimator is None) == (self.factory is None):
            raise ValueError("give exactly one of estimator or factory")
        if why := next(filter(None, map(refusal, self.trusted_types)), ""):
            raise ValueError(f"trusted_types: {why}")
        if self.output is Output.PROBABILITY and self.task is TaskKind.REGRESSION:
            raise ValueError("a regression has no probabilities: use output: prediction")
        return self


class Backend(StrEnum):
    """Who does the parallel part of a fit."""

    LOCAL = "local"
    DASK = "dask"
    RAY = "ray"


_SCHEMES = {Backend.DASK: ("tcp", "tls"), Backend.RAY: ("ray",)}


class ExecutionSection(Section):
    """Where the parallel part of the fit is done: forests, searches, cross-validation, whatever uses joblib."""

    backend: Backend = Field(default=Backend.LOCAL, description="this machine, or a cluster that is there")
    address: str | None = Field(
        default=None,
        description="of the cluster: tcp://host:8786 or tls://host:8786 for dask, ray://host:10001 for ray",
    )
    jobs: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="how much is done at once, at most; left out: SEATRIAL_TRAINING_JOBS, or the whole cluster",
    )
    timeout: Duration = Field(
        default=dt.timedelta(seconds=30),
        gt=dt.timedelta(0),
        le=dt.timedelta(minutes=10),
        description="how long the cluster may take to answer and, after that, to have a worker",
    )

    @model_validator(mode="after")
    def _the_address_suits_the_backend(self) -> Self:
        if self.backend is Backend.LOCAL:
            if self.address is not None:
                raise ValueError("address is that of a cluster: say backend: dask or backend: ray, or leave it out")
            return self
        if self.address is None or not _names_a_cluster(self.address, self.backend):
            raise ValueError(
                f"address must be that of a {self.backend.value} cluster: "
                f"write {' or '.join(f'{scheme}://HOST:PORT' for scheme in _SCHEMES[self.backend])}"
            )
        if self.jobs == 1:
            raise ValueError("with jobs: 1 nothing is left for the cluster: give 2 or more, or use backend: local")
        return self


def _names_a_cluster(address: str, backend: Backend) -> bool:
    try:
        place = urlsplit(address)
        plain = f"{place.scheme}://{place.netloc}" == address and "@" not in place.netloc
        return plain and place.scheme in _SCHEMES[backend] and bool(place.hostname) and bool(place.port)
    except ValueError:  # a port that is no number
        return False


class Threshold(Section):
    """A limit that the candidate must keep on the held-out rows, whatever the champion does."""

    metric: str
    min: float | None = Field(default=None, allow_inf_nan=False, description="the metric must be at least this")
    max: float | None = Field(default=None, allow_inf_nan=False, description="the metric must be at most this")

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"{self.metric}: give min or max, else nothing is asked")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"{self.metric}: min {self.min} is above max {self.max}")
        return self


class Comparison(Section):
    """A metric in which the candidate must not be worse than the champion, on the same held-out rows."""

    metric: str
    margin: float = Field(
        default=0.0,
        ge=0.0,
        allow_inf_nan=False,
        description="how much worse still counts as not worse, in the metric's own units",
    )


class GateSection(Section):
    """What a candidate must show before it is registered."""

    thresholds: tuple[Threshold, ...] = ()
    against_champion: tuple[Comparison, ...] = ()

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.thresholds:
            raise ValueError(
                "give at least one threshold: the first model of a product has no champion to be compared with"
            )
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric the gate asks for, each once."""
        asked = [rule.metric for rule in self.thresholds] + [rule.metric for rule in self.against_champion]
        return tuple(dict.fromkeys(asked))


class MonitoringSection(Section):
    """What is watched once a version is live."""

    labels_after: Duration | None = Field(
        default=None, description="how long until the truth about a prediction is known; left out: never"
    )


class ProductSpec(Section):
    """Everything Seatrial needs to know of one product."""

    product: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="name in the registry and in the gateway's paths")
    ]
    description: str = Field(default="", description="one line for people")
    data: DataSection
    validation: ValidationSection
    preprocessing: PreprocessingSection
    model: ModelSection
    execution: ExecutionSection = ExecutionSection()
    gate: GateSection
    rollout: RolloutSection = RolloutSection()
    monitoring: MonitoringSection = MonitoringSection()
    schedule: ScheduleSection | None = Field(default=None, description="left out: released when somebody asks for it")

    @field_validator("product")
    @classmethod
    def _not_a_path_of_the_gateway(cls, name: str) -> str:
        if name in _GATEWAYS_OWN:
            raise ValueError(f"the gateway keeps the path /{name}/ for itself: give the product another name")
        return name
