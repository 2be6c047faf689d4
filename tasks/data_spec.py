"""The data section of a product spec: where rows come from, what their columns are, which of them count."""

import codecs
import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from deployments.durations import Duration
from deployments.spec import Section

Column = Annotated[str, Field(min_length=1)]


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
        default=None,
        description="words for a missing value; []: there are none; left out: those of `data.source.nulls`",
    )
    decimal: DecimalSign | None = Field(default=None, description="of numbers; left out: that of `data.source.decimal`")
    thousands: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="sign between groups of digits of numbers, such as a point in 1.234,50"
    )
    true: Words | None = Field(
        default=None, description="words for true in a boolean, in any case, in quotes; left out: true and 1"
    )
    false: Words | None = Field(
        default=None, description="words for false in a boolean, in any case, in quotes; left out: false and 0"
    )
    format: str | None = Field(
        default=None, min_length=2, description="of a time, as strptime has it, such as %d.%m.%Y; left out: ISO 8601"
    )

    @model_validator(mode="after")
    def _suits_the_type(self) -> Self:
        of_type = {"decimal": ColumnType.NUMBER, "thousands": ColumnType.NUMBER, "format": ColumnType.TIME}
        for name, wanted in (of_type | dict.fromkeys(("true", "false"), ColumnType.BOOLEAN)).items():
            if getattr(self, name) is not None and self.type is not wanted:
                raise ValueError(f"{name} is for type: {wanted.value}, and this is type: {self.type.value}")
        if self.thousands is not None and (self.thousands == self.decimal or self.thousands in "0123456789+-eE"):
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
    format: Format | None = Field(default=None, description="of a path or url; left out: by its ending")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(default=",", description="of a CSV file")
    encoding: str = Field(default="utf-8", description="of a CSV file, such as latin-1 or utf-16")
    decimal: DecimalSign = Field(default=".", description="decimal sign of the numbers in a CSV file")
    nulls: Words | None = Field(
        default=None,
        description="words for a missing value in a CSV file; left out: nothing, NA, NaN, null and their like",
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
        default=None, description="first moment that no longer counts; left out: after the newest row"
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
    time_column: Column | None = Field(default=None, description="when a row happened; left out: the rows have no time")
    key: tuple[Column, ...] = Field(default=(), description="columns that together tell rows apart")
    window: Window = Field(default=Window(), description="which rows, by time")
    split: SplitRule = Field(default=SplitRule(share=0.25), description="what is held out for the evaluation")


def as_moment(value: dt.date | dt.datetime) -> dt.datetime:
    """An aware UTC datetime: midnight for a date, UTC for a datetime without a zone."""
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone is given in the next line
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
