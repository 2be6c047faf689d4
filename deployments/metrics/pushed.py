"""Feedback as it comes from outside: read strictly, with every mistake told at once and nothing of it quoted."""

import math
from collections.abc import Sequence
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from deployments.errors import BadInput
from deployments.metrics.feedback import LABEL, Feedback
from deployments.metrics.labels import label_text

MOST_ITEMS: Final = 1000
_LARGEST = 1e15
_LONGEST_LABEL = 128


class BadFeedback(BadInput):
    """Feedback that cannot be stored; `problems` are pairs of a place, such as `[3].value`, and what is wrong there."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{place}: {problem}" for place, problem in problems))
        self.problems = tuple(problems)


class PushedFeedback(BaseModel):
    """One JSON object of the feedback endpoint; no further field is taken."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    product: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="name of the product")
    version: int = Field(ge=1, lt=2**31, description="x-seatrial-version of the answer")
    request_id: str = Field(pattern=r"^[A-Za-z0-9._:/+=@-]{1,128}$", description="x-request-id of the answer")
    metric: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="what is measured; `label` is the truth")
    value: float | str = Field(description="a number; for `label` also text, true or false")

    @field_validator("value", mode="plain")
    @classmethod
    def _value_that_fits(cls, value: Any, others: ValidationInfo) -> float | str:
        if others.data.get("metric") == LABEL:
            return _label(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")
        return _finite(value)


_ITEMS = TypeAdapter(list[PushedFeedback])


def read_feedback(body: bytes) -> tuple[Feedback, ...]:
    """The feedback in a JSON object, or in a list of at most 1,000. Raises `BadFeedback`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadFeedback([("", f"the request is not JSON (at character {error.pos})")]) from None
    is_list = isinstance(document, list)
    items = document if is_list else [document]
    if not 1 <= len(items) <= MOST_ITEMS:
        raise BadFeedback([("", f"send 1 to {MOST_ITEMS} items at once, not {len(items)}")])
    try:
        pushed = _ITEMS.validate_python(items)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise BadFeedback(
            [(_place(each["loc"] if is_list else each["loc"][1:]), _problem(each)) for each in found]
        ) from None
    return tuple(Feedback(**each.model_dump()) for each in pushed)


def _label(value: Any) -> str:
    if isinstance(value, str):
        if not 1 <= len(value) <= _LONGEST_LABEL or not value.isprintable():
            raise ValueError(f"must be 1 to {_LONGEST_LABEL} printable characters")
        return value
    if not isinstance(value, int | float):
        raise ValueError("must be text, a number, true or false")
    return label_text(value if isinstance(value, bool) else _finite(value))


def _finite(value: float) -> float:
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise ValueError(f"must be a finite number between -{_LARGEST:g} and {_LARGEST:g}")
    return float(value)


def _place(location: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def _problem(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
