"""A product spec: one YAML file that says everything Seatrial needs to know of a product.

`load_product` reads one strictly and reports every mistake at once; `json_schema` is what editors check against.
"""

import datetime as dt
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, JsonValue, ValidationError, model_validator

from deployments.durations import Duration
from deployments.errors import BadSpec, NotFound
from deployments.spec import RolloutSection, Section
from tasks.gate.metrics import Direction, direction_of, metrics_of
from tasks.kinds import TaskKind

Column = Annotated[str, Field(min_length=1)]
S = TypeVar("S", bound=Section)
DottedName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


class Format(StrEnum):
    """File formats that can be read."""

    CSV = "csv"
    PARQUET = "parquet"


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

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("path", "url", "sql") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of path, url or sql, not {' and '.join(given) or 'none of them'}")
        if (self.sql is None) != (self.connection_env is None):
            raise ValueError("sql and connection_env go together: connection_env names the variable with the database URL")
        if self.sql is None and self.format is None and self._format_by_ending() is None:
            raise ValueError(f"format of {self.path or self.url!r} is not plain from its ending: add format: csv or format: parquet")
        return self

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

    start: dt.date | dt.datetime | None = Field(default=None, description="first moment that counts (UTC where no zone is given)")
    end: dt.date | dt.datetime | None = Field(default=None, description="first moment that no longer counts; None: after the newest row")
    last: Duration | None = Field(default=None, gt=dt.timedelta(0), description="instead of `start`: how far back from `end`")

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start is not None and self.last is not None:
            raise ValueError("give start or last, not both")
        if self.start is not None and self.end is not None and as_moment(self.end) <= as_moment(self.start):
            raise ValueError(f"the window ends ({self.end}) before it starts ({self.start}): swap them")
        return self


class SplitRule(Section):
    """How much of the window is held out for the evaluation: its newest part, by time."""

    evaluation: Duration | None = Field(default=None, gt=dt.timedelta(0), description="length of the newest part, such as 14d")
    share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(default=None, description="share of the rows, such as 0.25")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.evaluation is None) == (self.share is None):
            raise ValueError("give exactly one of evaluation (a duration) or share (of the rows)")
        return self


class DataSection(Section):
    """Which rows and columns the product learns from."""

    source: Source
    target: Column = Field(description="column to predict")
    time_column: Column | None = Field(default=None, description="when a row happened; None: the rows have no time")
    key: tuple[Column, ...] = Field(default=(), description="columns that together tell rows apart")
    window: Window = Field(default=Window(), description="which rows, by time")
    split: SplitRule = Field(default=SplitRule(share=0.25), description="what is held out for the evaluation")


class ValidationSection(Section):
    """What the data must satisfy before anything is trained."""

    suite: str = Field(description="Great Expectations suite (JSON); relative to the spec's folder; `seatrial profile` proposes one")


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
    min_frequency: Annotated[int, Field(ge=1)] | None = Field(default=None, description="rarer categories are put together; None: none are")


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
    estimator: DottedName | None = Field(default=None, description="class by import path, such as sklearn.linear_model.LogisticRegression")
    factory: DottedName | None = Field(
        default=None, description="your function by import path: called with the parameters, returns an unfitted estimator"
    )
    parameters: Mapping[str, JsonValue] = Field(default_factory=dict, description="keyword arguments of the estimator or factory")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="random_state wherever the estimator takes one")
    output: Output = Field(default=Output.PREDICTION, description="what the server answers with")
    trusted_types: tuple[DottedName, ...] = Field(default=(), description="further types that the stored model may hold (your own classes)")

    @model_validator(mode="after")
    def _one_maker(self) -> Self:
        if (self.estimator is None) == (self.factory is None):
            raise ValueError("give exactly one of estimator or factory")
        if self.output is Output.PROBABILITY and self.task is TaskKind.REGRESSION:
            raise ValueError("a regression has no probabilities: use output: prediction")
        return self


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
        default=0.0, ge=0.0, allow_inf_nan=False, description="how much worse still counts as not worse, in the metric's own units"
    )


class GateSection(Section):
    """What a candidate must show before it is registered."""

    thresholds: tuple[Threshold, ...] = ()
    against_champion: tuple[Comparison, ...] = ()

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.thresholds:
            raise ValueError("give at least one threshold: the first model of a product has no champion to be compared with")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric the gate asks for, each once."""
        return tuple(dict.fromkeys(rule.metric for rule in (*self.thresholds, *self.against_champion)))


class MonitoringSection(Section):
    """What is watched once a version is live."""

    labels_after: Duration | None = Field(default=None, description="how long until the truth about a prediction is known; None: never")


class ProductSpec(Section):
    """Everything Seatrial needs to know of one product."""

    product: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="name in the registry and in the gateway's paths")]
    description: str = Field(default="", description="one line for people")
    data: DataSection
    validation: ValidationSection
    preprocessing: PreprocessingSection
    model: ModelSection
    gate: GateSection
    rollout: RolloutSection = RolloutSection()
    monitoring: MonitoringSection = MonitoringSection()


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a spec: where it is, and what would be right."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def as_moment(value: dt.date | dt.datetime) -> dt.datetime:
    """An aware UTC datetime: midnight for a date, UTC for a datetime without a zone."""
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone is given in the next line
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def find_spec(product: str, folder: Path) -> Path:
    """The file of a product: a path to a YAML file as it is, else `<folder>/<product>.yaml`. Raises `NotFound`."""
    direct = Path(product)
    if direct.suffix in {".yaml", ".yml"}:
        if direct.is_file():
            return direct.resolve()
        raise NotFound(f"no spec at {direct.absolute()}: check the path")
    for suffix in (".yaml", ".yml"):
        if (found := folder / f"{product}{suffix}").is_file():
            return found.resolve()
    known = ", ".join(sorted(path.stem for path in folder.glob("*.y*ml"))) or "none yet"
    raise NotFound(f"no product {product!r} in {folder} (there: {known}): give one of these, or a path to a YAML file")


def load_product(path: Path) -> ProductSpec:
    """The product spec in `path`, with its relative paths made absolute.

    Raises `NotFound` for a missing file and `BadSpec` with every problem at once, one a line: path of the field, what is
    wrong with it, what would be right.
    """
    raw = _read_yaml(path)
    document = _with_absolute_paths(raw, path.parent)
    spec, problems = _check(document)
    problems = [*problems, *_impossible(document)]
    if spec is None or problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise BadSpec(f"{path}: {len(problems)} problem{'s' if len(problems) != 1 else ''}\n{listed}")
    return spec


def json_schema() -> dict[str, Any]:
    """JSON schema of a product spec (draft 2020-12), for editors."""
    schema = ProductSpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Seatrial product spec", **schema}


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice instead of silently keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if isinstance(key, str | int) and key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark)
            if isinstance(key, str | int):
                seen.add(key)
        return super().construct_mapping(node, deep)


# Dates stay text here; the spec's own types read them and name the field when one is wrong.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise NotFound(f"no spec at {path}: check the path") from None
    except IsADirectoryError:
        raise BadSpec(f"{path} is a folder: give the YAML file itself") from None
    except UnicodeDecodeError as error:
        raise BadSpec(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise BadSpec(f"{path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise BadSpec(f"{path} must be a mapping that starts with `product: name`, not {type(content).__name__}")
    return content


def _with_absolute_paths(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(raw, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value)))
    for holder, name in ((_dig(document, "data", "source"), "path"), (_dig(document, "validation"), "suite")):
        if isinstance(holder, dict) and isinstance(holder.get(name), str):
            holder[name] = str((folder / holder[name]).resolve())
    return document


def _dig(document: Any, *names: str) -> Any:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _check(document: dict[str, Any]) -> tuple[ProductSpec | None, list[Problem]]:
    try:
        return ProductSpec.model_validate_json(json.dumps(document)), []
    except ValidationError as error:
        return None, [_explain(detail) for detail in error.errors(include_url=False, include_input=True)]


def _explain(detail: Any) -> Problem:
    field = ".".join(str(part) for part in detail["loc"] if not _is_type_tag(part)) or "(whole file)"
    message = detail["msg"].removeprefix("Value error, ")
    match detail["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(detail["loc"][-1]), _fields_at(detail["loc"][:-1]), n=1)
            message = f"unknown field{f': did you mean {near[0]!r}?' if near else ''}; known here: {', '.join(_fields_at(detail['loc'][:-1]))}"
        case "missing":
            message = "required, but not given"
        case "value_error" | "json_invalid":
            pass
        case _:
            message = f"{message[0].lower()}{message[1:]}, not {json.dumps(detail['input'], default=str)[:80]}"
    return Problem(field, message)


def _is_type_tag(part: Any) -> bool:
    return isinstance(part, str) and part in {"date", "datetime"}


def _fields_at(location: Iterable[Any]) -> list[str]:
    model: type[BaseModel] = ProductSpec
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models_in(model.model_fields[part].annotation), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _section(kind: type[S], raw: Any) -> S | None:
    try:
        return kind.model_validate_json(json.dumps(raw))
    except ValidationError:
        return None


def _impossible(document: dict[str, Any]) -> Iterator[Problem]:
    """Combinations across sections; each is checked as soon as the sections it needs are right in themselves."""
    data = _section(DataSection, document.get("data"))
    model = _section(ModelSection, document.get("model"))
    gate = _section(GateSection, document.get("gate"))
    preprocessing = _section(PreprocessingSection, document.get("preprocessing"))
    if data is not None:
        yield from _impossible_data(data, preprocessing)
    if model is not None and gate is not None:
        yield from _unknown_metrics(model.task, gate)


def _impossible_data(data: DataSection, preprocessing: PreprocessingSection | None) -> Iterator[Problem]:
    if data.time_column is None and data.window != Window():
        yield Problem("data.window", "needs data.time_column: without a time no row is in or out of a window")
    if data.time_column is None and data.split.evaluation is not None:
        yield Problem("data.split.evaluation", "needs data.time_column: use data.split.share for rows without a time")
    if preprocessing is None:
        return
    if data.target in preprocessing.features:
        yield Problem("preprocessing", f"the target {data.target!r} is among the features: the model would see the answer")
    for name in data.key:
        if name in preprocessing.features and name == data.time_column:
            yield Problem("preprocessing", f"{name!r} is key and time column: it cannot be a feature as well")


def _unknown_metrics(task: TaskKind, gate: GateSection) -> Iterator[Problem]:
    known = metrics_of(task)
    for place, rules in (("thresholds", gate.thresholds), ("against_champion", gate.against_champion)):
        for index, rule in enumerate(rules):
            if rule.metric not in known:
                yield Problem(f"gate.{place}.{index}.metric", f"{rule.metric!r} is no metric of {task}: use one of {', '.join(known)}")
            elif isinstance(rule, Threshold) and rule.max is not None and rule.min is None and direction_of(rule.metric) is Direction.HIGHER:
                yield Problem(f"gate.{place}.{index}", f"{rule.metric} is better when higher: give min (a max may stand beside it)")
            elif isinstance(rule, Threshold) and rule.min is not None and rule.max is None and direction_of(rule.metric) is Direction.LOWER:
                yield Problem(f"gate.{place}.{index}", f"{rule.metric} is better when lower: give max (a min may stand beside it)")
