"""A product spec: everything Seatrial needs to know of a product, section by section.

`spec_file.py` reads one from its YAML file and tells every mistake at once.
"""

import codecs
import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from deployments.durations import Duration
from deployments.spec import RolloutSection, Section
from deployments.trusted_types import refusal
from tasks.problem_types import TaskKind

_GATEWAYS_OWN = {"v2", "seatrial"}
Column = Annotated[str, Field(min_length=1)]
DottedName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


class Format(StrEnum):
    """File formats that can be read."""

    CSV = "csv"
    PARQUET = "parquet"


class ColumnType(StrEnum):
    """What the values of a column are."""

    NUMBER = "number"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    TIME = "time"


Words = tuple[Annotated[str, Field(max_length=100)], ...]
DecimalSign = Literal[".", ","]


class ColumnSection(Section):
    """What one column is and how its text is read, in the source, in requests, and for every version trained so."""

    type: ColumnType = Field(description="number, category, boolean or time; a category is the text that stands there")
    nulls: Words | None = Field(
        default=None, description="words for a missing value; []: there are none; None: those of `data.source.nulls`"
    )
    decimal: DecimalSign | None = Field(default=None, description="of numbers; None: that of `data.source.decimal`")
    thousands: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="sign between groups of digits of numbers, such as a point in 1.234,50"
    )
    true: Words | None = Field(
        default=None, description="words for true in a boolean, in any case, in quotes; None: true and 1"
    )
    false: Words | None = Field(
        default=None, description="words for false in a boolean, in any case, in quotes; None: false and 0"
    )
    format: str | None = Field(
        default=None, min_length=2, description="of a time, as strptime has it, such as %d.%m.%Y; None: ISO 8601"
    )

    @model_validator(mode="after")
    def _suits_the_type(self) -> Self:
        of_type = {"decimal": ColumnType.NUMBER, "thousands": ColumnType.NUMBER, "format": ColumnType.TIME}
        for name, wanted in (of_type | dict.fromkeys(("true", "false"), ColumnType.BOOLEAN)).items():
            if getattr(self, name) is not None and self.type is not wanted:
                raise ValueError(f"{name} is for type: {wanted.value}, and this is type: {self.type.value}")
        if self.thousands is not None and (
            self.thousands == (self.decimal or ".") or self.thousands in "0123456789+-eE"
        ):
            raise ValueError(f"thousands cannot be {self.thousands!r}: it is a part of numbers, or their decimal sign")
        if (self.true is None) != (self.false is None):
            raise ValueError("true and false go together: give the words of both")
        if self.format is not None and not _is_format(self.format):
            raise ValueError(f"format {self.format!r} is none of a date: write it as strptime has it, such as %d.%m.%Y")
        both = {word.lower() for word in self.true or ()} & {word.lower() for word in self.false or ()}
        if both or (self.true is not None and not (self.true and self.false)):
            raise ValueError("true and false need words of their own, at least one each")
        return self


def _is_format(format_: str) -> bool:
    """Whether a day is told by it, and read back."""
    day = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    try:
        return dt.datetime.strptime(day.strftime(format_), format_).date() == day.date()  # noqa: DTZ007
    except ValueError:
        return False


class Source(Section):
    """Where rows come from: exactly one of `path`, `url` or `sql`."""

    path: str | None = Field(default=None, description="file on this machine; relative to the spec's folder")
    url: str | None = Field(default=None, description="fsspec URL, such as s3://bucket/key.parquet")
    sql: str | None = Field(default=None, description="query, read through SQLAlchemy; needs `connection_env`")
    connection_env: str | None = Field(
        default=None, description="NAME of the environment variable with the database URL (never the URL itself)"
    )
    format: Format | None = Field(default=None, description="of a path or url; None: by its ending")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(default=",", description="of a CSV file")
    encoding: str = Field(default="utf-8", description="of a CSV file, such as latin-1 or utf-16")
    decimal: DecimalSign = Field(default=".", description="decimal sign of the numbers in a CSV file")
    nulls: Words | None = Field(
        default=None, description="words for a missing value in a CSV file; None: nothing, NA, NaN, null and their like"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("path", "url", "sql") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of path, url or sql, not {' and '.join(given) or 'none of them'}")
        if self.path is not None and "://" in self.path:
            raise ValueError(f"path is a file on this machine, and {self.path} is none: write url: {self.path}")
        if (self.sql is None) != (self.connection_env is None):
            raise ValueError(
                "sql and connection_env go together: connection_env names the variable with the database URL"
            )
        if self.sql is None and self.format is None and self._format_by_ending() is None:
            raise ValueError(
                f"format of {self.path or self.url!r} is not plain from its ending: add format: csv or format: parquet"
            )
        return self

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
            return codecs.lookup(encoding).name
        except (LookupError, ValueError):
            raise ValueError(f"no encoding is called {encoding!r}: write utf-8, latin-1, cp1252, utf-16 …") from None

    @property
    def file_format(self) -> Format:
        """The format given, or the one that the file's ending tells. Only for `path` and `url`."""
        found = self.format or self._format_by_ending()
        if found is None:
            raise ValueError("a SQL source has no file format")
        return found

    def _format_by_ending(self) -> Format | None:
        location = (self.path or self.url or "").lower()
        if location.endswith((".csv", ".csv.gz", ".csv.zip")):
            return Format.CSV
        return Format.PARQUET if location.endswith((".parquet", ".pq")) else None


class Window(Section):
    """Which rows, by the time column: half open [start, end), or the `last` stretch up to `end` or the newest row."""

    start: dt.date | dt.datetime | None = Field(
        default=None, description="first moment that counts (UTC where no zone is given)"
    )
    end: dt.date | dt.datetime | None = Field(
        default=None, description="first moment that no longer counts; None: after the newest row"
    )
    last: Duration | None = Field(
        default=None, gt=dt.timedelta(0), description="instead of `start`: how far back from `end`"
    )

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start is not None and self.last is not None:
            raise ValueError("give start or last, not both")
        if self.start is not None and self.end is not None and as_moment(self.end) <= as_moment(self.start):
            raise ValueError(f"the window ends ({self.end}) before it starts ({self.start}): swap them")
        return self


class SplitRule(Section):
    """How much of the window is held out for the evaluation: its newest part, by time."""

    evaluation: Duration | None = Field(
        default=None, gt=dt.timedelta(0), description="length of the newest part, such as 14d"
    )
    share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        default=None, description="share of the rows, such as 0.25"
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.evaluation is None) == (self.share is None):
            raise ValueError("give exactly one of evaluation (a duration) or share (of the rows)")
        return self


class DataSection(Section):
    """Which rows and columns the product learns from."""

    source: Source
    columns: Mapping[Column, ColumnSection] = Field(
        default_factory=dict,
        description="what columns are, by name; others are numbers or categories as `preprocessing` uses them",
    )
    target: Column = Field(description="column to predict")
    time_column: Column | None = Field(default=None, description="when a row happened; None: the rows have no time")
    key: tuple[Column, ...] = Field(default=(), description="columns that together tell rows apart")
    window: Window = Field(default=Window(), description="which rows, by time")
    split: SplitRule = Field(default=SplitRule(share=0.25), description="what is held out for the evaluation")


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
        default=None, description="rarer categories are put together; None: none are"
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
        description="how much is done at once, at most; None: SEATRIAL_TRAINING_JOBS, or the whole cluster",
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
        default=None, description="how long until the truth about a prediction is known; None: never"
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

    @field_validator("product")
    @classmethod
    def _not_a_path_of_the_gateway(cls, name: str) -> str:
        if name in _GATEWAYS_OWN:
            raise ValueError(f"the gateway keeps the path /{name}/ for itself: give the product another name")
        return name


def as_moment(value: dt.date | dt.datetime) -> dt.datetime:
    """An aware UTC datetime: midnight for a date, UTC for a datetime without a zone."""
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone is given in the next line
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
