"""The suite file: Great Expectations' own JSON, with a section of ours under `meta.seatrial`.

    {
      "name": "flights",
      "expectations": [
        {"type": "expect_column_values_to_be_between", "severity": "warning",
         "kwargs": {"column": "temp", "min_value": -20, "max_value": 120, "mostly": 0.999}}
      ],
      "meta": {"seatrial": {
        "types": {"temp": "number", "carrier": "text", "scheduled_at": "time"},
        "freshness": {"max_age": "2d", "until": "window", "severity": "critical"}
      }}
    }

An expectation without `severity` is critical. `types` are critical; they stand apart because Great Expectations cannot
tell pandas 3 types. `freshness` compares the newest row with the end of the data window (`window`; an open window ends
now), with now (`now`), or with a date.
"""

import datetime as dt
import difflib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError

from deployments.durations import Duration
from deployments.errors import BadSpec, NotFound
from deployments.redaction import quoted
from deployments.spec import Section
from tasks.data_validation.findings import Severity


class Kind(StrEnum):
    """What a column holds. Whole numbers pass as `number`; a whole number with nulls still counts as `integer`."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"
    TIME = "time"


class Freshness(Section):
    """How old the newest row may be."""

    max_age: Duration = Field(ge=dt.timedelta(0))
    until: Literal["window", "now"] | dt.date | dt.datetime = "window"
    severity: Severity = Severity.CRITICAL


class OwnRules(Section):
    """What Seatrial checks itself, beside the expectations."""

    types: dict[str, Kind] = Field(default_factory=dict)
    freshness: Freshness | None = None


class Meta(Section):
    """Free notes, and our own section."""

    seatrial: OwnRules = OwnRules()
    notes: JsonValue = None
    great_expectations_version: str | None = None


class Expectation(Section):
    """One expectation of Great Expectations. The last four fields are what its own export adds; they are not used."""

    type: Annotated[str, Field(pattern=r"^expect_[a-z_]+$")]
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    severity: Severity = Severity.CRITICAL
    meta: JsonValue = None
    notes: JsonValue = None
    id: str | None = None
    description: str | None = None
    rendered_content: JsonValue = None


class Suite(Section):
    """The content of a suite file."""

    name: Annotated[str, Field(min_length=1)]
    expectations: tuple[Expectation, ...] = ()
    meta: Meta = Meta()
    notes: JsonValue = None
    id: str | None = None


def load_suite(path: Path) -> Suite:
    """The suite in `path`. Raises `NotFound` if there is none and `BadSpec` with every problem at once, one a line."""
    try:
        return Suite.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFound(f"no suite at {path}: check validation.suite, or let `seatrial profile` propose one") from None
    except IsADirectoryError:
        raise BadSpec(f"{path} is a folder: give the suite's JSON file") from None
    except ValidationError as error:
        problems = [_explain(detail) for detail in error.errors(include_url=False)]
        raise BadSpec("\n".join([f"{path} is not a suite:", *(f"  {problem}" for problem in problems)])) from None


def _explain(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "(whole file)"
    if detail["type"] != "extra_forbidden":
        return f"{place}: {detail['msg']}, not {quoted(detail['input'])}"
    known = _fields_of(detail["loc"])
    near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
    return f"{place}: unknown field{f', did you mean {near[0]!r}?' if near else ''}; known: {', '.join(known)}"


def _fields_of(location: tuple[Any, ...]) -> list[str]:
    inside = [part for part in location[:-1] if isinstance(part, str)]
    models: dict[str, type[Section]] = {
        "expectations": Expectation,
        "meta": Meta,
        "seatrial": OwnRules,
        "freshness": Freshness,
    }
    return list((models.get(inside[-1], Suite) if inside else Suite).model_fields)
