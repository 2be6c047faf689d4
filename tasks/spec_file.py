"""Reading a product spec from its file: strictly, with every mistake told at once."""

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from deployments.clock import SystemClock
from deployments.durations import format_duration
from deployments.errors import BadInput, BadSpec, NotFound
from deployments.inference_log_reader import check_reachable_by_fsspec, is_url
from deployments.plurals import counted
from deployments.redaction import quoted
from deployments.routers.kubernetes_service import nearest
from deployments.spec import LogSection, RolloutSection, Section, Strategy, TargetKind
from tasks.gate.metrics import Direction, direction_of, metrics_of
from tasks.problem_types import TaskKind
from tasks.product_spec import (
    ColumnType,
    Comparison,
    DataSection,
    GateSection,
    ModelSection,
    PreprocessingSection,
    ProductSpec,
    Threshold,
    ValidationSection,
    Window,
)
from tasks.schedule_spec import ScheduleSection, is_relative, relative_window
from tasks.spec_yaml import read_yaml

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a spec: where it is, and what would be right."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def parse_window(text: str, run_time: datetime | None = None) -> Window:
    """`2013-01-01..2013-03-01`, `2013-01-01..`, `..2013-03-01` or `60d` as a window. Raises `BadInput`.

    `-60d..-1d` and `-60d..` go back from `run_time`, an aware moment; None: from now.
    """
    if is_relative(text):
        return _before(text, run_time or SystemClock().now())
    start, dots, end = text.partition("..")
    fields = {"start": start or None, "end": end or None} if dots else {"last": text}
    try:
        if dots and not start and not end:
            raise BadInput("neither start nor end is given")
        return Window.model_validate_json(json.dumps(fields))
    except (ValidationError, BadInput) as error:
        why = (
            error.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(error, ValidationError) else str(error)
        )
        raise BadInput(
            f"window {text!r}: {why}. Write START..END such as 2013-01-01..2013-03-01, or a length such as 60d"
        ) from None


def _before(text: str, run_time: datetime) -> Window:
    try:
        start, end = relative_window(text)
    except ValueError as error:
        raise BadInput(f"window {error}") from None
    return Window(start=run_time - start, end=None if end is None else run_time - end)


def find_spec(product: str, folder: Path) -> Path:
    """The file of a product: a path to a YAML file as it is, else `<folder>/<product>.yaml`. Raises `NotFound`."""
    direct = Path(product)
    if direct.suffix in {".yaml", ".yml"}:
        if _is_file(direct):
            return _in_its_folder(direct)
        raise NotFound(f"no spec at {direct.absolute()}: check the path")
    for suffix in (".yaml", ".yml"):
        if _is_file(found := folder / f"{product}{suffix}"):
            return _in_its_folder(found)
    known = ", ".join(sorted(path.stem for path in folder.glob("*.y*ml"))) or "none yet"
    raise NotFound(f"no product {product!r} in {folder} (there: {known}): give one of these, or a path to a YAML file")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a NUL in it
        return False


def _in_its_folder(path: Path) -> Path:
    """Where the file lies, whose relative paths begin there.

    In a mounted ConfigMap each file is a link to a folder below, which nobody who wrote a spec knows of.
    """
    folder, there = path.absolute().parent.resolve(), path.resolve()
    return folder / path.name if there.is_relative_to(folder) else there


def load_product(path: Path) -> ProductSpec:
    """The product spec in `path`, with its relative paths made absolute.

    Raises `NotFound` for a missing file and `BadSpec` with every problem at once, one a line: path of the field, what
    is wrong with it, what would be right.
    """
    raw = read_yaml(path)
    document = _with_absolute_paths(raw, path.parent)
    spec, problems = _check(document)
    problems = [*problems, *_impossible(document)]
    if spec is None or problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise BadSpec(f"{path}: {counted(len(problems), 'problem')}\n{listed}")
    return spec


def check_available(rollout: RolloutSection) -> None:
    """Raises `BadInput` for what a cluster cannot do that this machine can."""
    if rollout.target is not TargetKind.KUBERNETES:
        return
    if rollout.key != RolloutSection.model_fields["key"].default:
        raise BadInput("key: no Gateway API keeps users with a version by a header or cookie: leave key out")
    if rollout.kubernetes.gateway is None:
        _check_whole_pods(rollout)


def _check_whole_pods(rollout: RolloutSection) -> None:
    """Without a Gateway a share is that of pods."""
    without = "without kubernetes.gateway"
    if rollout.strategy in {Strategy.AB, Strategy.SHADOW}:
        raise BadInput(f"strategy {rollout.strategy.value} is not to be had {without}: name a Gateway")
    splits = rollout.strategy is Strategy.CANARY or (rollout.strategy is Strategy.ROLLING and rollout.replicas > 1)
    if splits and rollout.kubernetes.autoscaling is not None:
        raise BadInput(
            f"kubernetes.autoscaling: {without} a share is that of pods, which an autoscaler changes: name a Gateway, "
            "leave autoscaling out, or use strategy blue_green"
        )
    if rollout.strategy is not Strategy.CANARY:
        return
    for step in rollout.canary.steps:
        possible = nearest(step.weight, rollout.replicas)
        if step.weight not in possible:
            told = " or ".join(f"{each:g}" for each in possible) or "a higher one"
            pods = counted(rollout.replicas, "pod")
            raise BadInput(
                f"canary.steps: {step.weight:g} % cannot be made of {pods} a version {without}: nearest is {told}"
            )


def json_schema() -> dict[str, Any]:
    """JSON schema of a product spec (draft 2020-12), for editors."""
    schema = ProductSpec.model_json_schema(schema_generator=_Schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Seatrial product spec", **schema}


class _Schema(GenerateJsonSchema):
    """Defaults as people write them in a spec: a duration has a unit."""

    def encode_default(self, dft: Any) -> Any:
        """`1m` instead of pydantic's `PT1M`, which no spec may hold."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def _with_absolute_paths(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        json.dumps(raw, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value))
    )
    for holder, name in ((_dig(document, "data", "source"), "path"), (_dig(document, "validation"), "suite")):
        # A URL stays as it is, for the spec to say where it belongs.
        if isinstance(holder, dict) and isinstance(holder.get(name), str) and not is_url(holder[name]):
            holder[name] = _absolute(folder / holder[name])
    log = _dig(document, "rollout", "server", "log")
    if isinstance(log, dict) and isinstance(log.get("folder"), str) and log["folder"] and not is_url(log["folder"]):
        log["folder"] = _absolute(folder / log["folder"])
    return document


def _absolute(path: Path) -> str:
    try:
        return str(path.resolve())
    except (OSError, RuntimeError, ValueError):  # a circle of links, or a NUL: whoever reads it will say so
        return str(path)


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
            known = _fields_at(detail["loc"][:-1])
            near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
            guess = f": did you mean {near[0]!r}?" if near else ""
            message = f"unknown field{guess}; known here: {', '.join(known)}"
        case "missing":
            message = "required, but not given"
        case "value_error" | "json_invalid":
            pass
        case "string_type" if isinstance(detail["input"], bool | int | float):
            message = f"must be text, and YAML reads what stands there as {quoted(detail['input'])}: put it in quotes"
        case _:
            message = f"{message[0].lower()}{message[1:]}, not {quoted(detail['input'])}"
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
        schedule = _section(ScheduleSection, document.get("schedule"))
        if data.time_column is None and schedule is not None and schedule.window is not None:
            yield Problem("schedule.window", "needs data.time_column: without a time no row is in or out of a window")
    validation = _section(ValidationSection, document.get("validation"))
    if validation is not None and preprocessing is not None:
        yield from _no_features(validation, preprocessing)
    if model is not None and gate is not None:
        yield from _unknown_metrics(model.task, gate)
    rollout = _section(RolloutSection, document.get("rollout", {}))
    if rollout is not None:
        yield from _unavailable(rollout)
        yield from _impossible_name(document.get("product"), rollout)
        yield from _impossible_log(rollout.server.log, preprocessing)


def _impossible_data(data: DataSection, preprocessing: PreprocessingSection | None) -> Iterator[Problem]:
    if data.time_column is None and data.window != Window():
        yield Problem("data.window", "needs data.time_column: without a time no row is in or out of a window")
    if data.time_column is None and data.split.evaluation is not None:
        yield Problem("data.split.evaluation", "needs data.time_column: use data.split.share for rows without a time")
    yield from _impossible_columns(data, preprocessing)
    if preprocessing is None:
        return
    if data.target in preprocessing.features:
        yield Problem(
            "preprocessing", f"the target {data.target!r} is among the features: the model would see the answer"
        )
    for name in data.key:
        if name in preprocessing.features and name == data.time_column:
            yield Problem("preprocessing", f"{name!r} is key and time column: it cannot be a feature as well")


def _impossible_columns(data: DataSection, preprocessing: PreprocessingSection | None) -> Iterator[Problem]:
    numeric = preprocessing.numeric.columns if preprocessing and preprocessing.numeric else ()
    for name, column in data.columns.items():
        if name in numeric and column.type in {ColumnType.CATEGORY, ColumnType.TIME}:
            yield Problem(
                f"data.columns.{name}.type",
                f"{column.type.value}, but it stands under preprocessing.numeric: say type: number, or put it "
                "under categorical",
            )
        if name == data.time_column and column.type is not ColumnType.TIME:
            yield Problem(
                f"data.columns.{name}.type", f"{column.type.value}, but it is the time column: say type: time"
            )
        if name == data.target and column.type is ColumnType.TIME:
            yield Problem(f"data.columns.{name}.type", "time, but it is the target: no model predicts moments")
        if column.thousands is not None and column.thousands == (column.decimal or data.source.decimal):
            yield Problem(
                f"data.columns.{name}.thousands",
                f"thousands cannot be {column.thousands!r}, the decimal sign of the source: say decimal as well",
            )


def _no_features(validation: ValidationSection, preprocessing: PreprocessingSection) -> Iterator[Problem]:
    for index, name in enumerate(validation.known_before_target):
        if name not in preprocessing.features:
            known = ", ".join(preprocessing.features)
            yield Problem(f"validation.known_before_target.{index}", f"{name!r} is no feature: use some of {known}")


def _unavailable(rollout: RolloutSection) -> Iterator[Problem]:
    try:
        check_available(rollout)
    except BadInput as error:
        yield Problem("rollout", str(error))


def _impossible_name(product: Any, rollout: RolloutSection) -> Iterator[Problem]:
    if rollout.target is TargetKind.KUBERNETES and str(product).endswith("-"):
        yield Problem(
            "product",
            f"{product!r} cannot be a label in a cluster: with target kubernetes, end with a letter or digit",
        )


def _impossible_log(log: LogSection, preprocessing: PreprocessingSection | None) -> Iterator[Problem]:
    try:
        check_reachable_by_fsspec(log.folder or "")
    except BadInput as error:
        yield Problem("rollout.server.log.folder", str(error))
    for index, name in enumerate(log.mask):
        if preprocessing is not None and name not in preprocessing.features:
            known = ", ".join(preprocessing.features)
            yield Problem(f"rollout.server.log.mask.{index}", f"{name!r} is no feature: use some of {known}")


def _unknown_metrics(task: TaskKind, gate: GateSection) -> Iterator[Problem]:
    known = metrics_of(task)
    places: tuple[tuple[str, tuple[Threshold | Comparison, ...]], ...] = (
        ("thresholds", gate.thresholds),
        ("against_champion", gate.against_champion),
    )
    for place, rules in places:
        for index, rule in enumerate(rules):
            if rule.metric not in known:
                yield Problem(
                    f"gate.{place}.{index}.metric",
                    f"{rule.metric!r} is no metric of {task}: use one of {', '.join(known)}",
                )
            elif (
                isinstance(rule, Threshold)
                and rule.max is not None
                and rule.min is None
                and direction_of(rule.metric) is Direction.HIGHER
            ):
                yield Problem(
                    f"gate.{place}.{index}",
                    f"{rule.metric} is better when higher: give min (a max may stand beside it)",
                )
            elif (
                isinstance(rule, Threshold)
                and rule.min is not None
                and rule.max is None
                and direction_of(rule.metric) is Direction.LOWER
            ):
                yield Problem(
                    f"gate.{place}.{index}", f"{rule.metric} is better when lower: give max (a min may stand beside it)"
                )
