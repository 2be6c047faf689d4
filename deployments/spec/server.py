"""How the model servers of a version behave."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from deployments.durations import Duration
from deployments.errors import BadInput
from deployments.inference_log_reader import check_location
from deployments.spec.base_section import Section


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
    size: Annotated[int, Field(ge=16 * 1024**2, le=2**50)] = Field(
        default=5 * 1024**3,
        description="bytes that the logs of the product may take together; the oldest parts go first",
    )
    rate: Annotated[int, Field(ge=1024, le=2**30)] = Field(
        default=2 * 1024**2,
        description="bytes a second, before compression, that one server adds at most; what is beyond is not kept",
    )
    mask: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="features whose values are left out"
    )

    @field_validator("folder")
    @classmethod
    def _a_place(cls, folder: str | None) -> str | None:
        try:
            check_location(folder or "")
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
