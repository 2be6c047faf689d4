"""Feedback as it comes from outside: read strictly, with every mistake told at once and nothing of it quoted."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from deployments.errors import BadInput
from deployments.metrics.class_labels import LABEL, label_text
from deployments.metrics.feedback.formats import JSON, BadlyWritten, items_in
from deployments.metrics.feedback.pending_by_user import KeyedFeedback
from deployments.metrics.feedback.tables import Feedback
from deployments.plurals import counted

MOST_ITEMS: Final = 1000
_LARGEST = 1e15
_LONGEST_LABEL = 128
_LONGEST_ID = 192
# None has as many fields.
_MOST_FIELDS = 16
# Of all that is wrong so many are told, and where in so many letters.
_MOST_PROBLEMS = 20
_LONGEST_PLACE = 80
# Clocks differ a little; what is dated far ahead would outlive its corrections.
_CLOCKS_DIFFER = timedelta(minutes=5)
_FOR_EVER = timedelta(days=10_000)


class BadFeedback(BadInput):
    """Feedback that cannot be stored; `problems` are pairs of a place, such as `[3].value`, and what is wrong there.

    The first 20 of them; `more` is how many there are beside these.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        first = [(place[:_LONGEST_PLACE], problem) for place, problem in problems[:_MOST_PROBLEMS]]
        super().__init__("\n".join(f"{place}: {problem}" for place, problem in first))
        self.problems = tuple(first)
        self.more = len(problems) - len(first)


_ID = rf"^[A-Za-z0-9._:/+=@-]{{1,{_LONGEST_ID}}}$"


class _Pushed(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    product: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="name of the product")
    metric: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="what is measured; `label` is the truth")
    value: float | str = Field(description="a number; for `label` also text, true or false")
    at: datetime | None = Field(default=None, description="when it became known; none: now")

    @field_validator("value", mode="plain")
    @classmethod
    def _value_that_fits(cls, value: Any, others: ValidationInfo) -> float | str:
        if others.data.get("metric") == LABEL:
            return _label(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")
        return _finite(value)

    @field_validator("at", mode="plain")
    @classmethod
    def _moment(cls, value: Any, info: ValidationInfo) -> datetime:
        now, within = cast("tuple[datetime, timedelta]", info.context)
        return _moment(value, now, within)


class PushedByRequest(_Pushed):
    """One object about the answer to a request; no further field is taken."""

    version: int = Field(ge=1, lt=2**31, description="x-seatrial-version of the answer")
    request_id: str = Field(pattern=_ID, description="x-request-id of the answer")


class PushedByKey(_Pushed):
    """One object about the newest answer that a user got until `at`; no further field is taken."""

    key: str = Field(min_length=1, max_length=256, description="the user's sticky key")

    @field_validator("key")
    @classmethod
    def _key_of_a_header(cls, key: str) -> str:
        if not key.isprintable():  # nor could a database keep all of it
            raise ValueError("must be printable characters, as in a header or cookie")
        return key


def _kind_of(item: Any) -> str:
    return "key" if isinstance(item, dict) and "key" in item else "request"


_ITEMS: TypeAdapter[list[PushedByRequest | PushedByKey]] = TypeAdapter(
    list[
        Annotated[
            Annotated[PushedByRequest, Tag("request")] | Annotated[PushedByKey, Tag("key")], Discriminator(_kind_of)
        ]
    ]
)


def read_feedback(
    body: bytes, now: datetime, content_type: str = JSON, within: timedelta = _FOR_EVER
) -> tuple[Feedback | KeyedFeedback, ...]:
    """The feedback in a request of at most 1,000 items: a JSON object or list, or lines of JSON, or CSV.

    What has no time of its own is of `now`; none may be older than `within`. Request ids are as they came. Raises
    `BadFeedback`.
    """
    try:
        items = items_in(body, content_type, MOST_ITEMS)
    except BadlyWritten as error:
        raise BadFeedback([(error.place, str(error))]) from None
    is_list = isinstance(items, list)
    listed = items if is_list else [items]
    if not 1 <= len(listed) <= MOST_ITEMS:
        raise BadFeedback([("", f"send 1 to {MOST_ITEMS} items at once")])
    if odd := [number for number, item in enumerate(listed) if isinstance(item, dict) and len(item) > _MOST_FIELDS]:
        raise BadFeedback([(f"[{number}]" if is_list else "", "has fields that no item has") for number in odd])
    try:
        pushed = _ITEMS.validate_python(listed, context=(now, within))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise BadFeedback([(_place(each["loc"], is_list), _problem(each)) for each in found]) from None
    return tuple(_feedback(each, now) for each in pushed)


def _feedback(pushed: PushedByRequest | PushedByKey, now: datetime) -> Feedback | KeyedFeedback:
    at = pushed.at or now
    if isinstance(pushed, PushedByKey):
        return KeyedFeedback(pushed.product, pushed.key, pushed.metric, pushed.value, at, now)
    return Feedback(pushed.product, pushed.version, pushed.request_id, pushed.metric, pushed.value, at)


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


def _moment(value: Any, now: datetime, within: timedelta) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        at = moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        at = None
    if at is None or at.year < 1970:
        raise ValueError("must be a time with its zone, such as 2026-03-01T12:00:00Z")
    if at > now + _CLOCKS_DIFFER:
        raise ValueError(f"must not lie in the future: here it is {now:%Y-%m-%dT%H:%M:%SZ}")
    if at < now - within:
        raise ValueError(
            f"must not be older than {counted(within.days, 'day')}, so not before {now - within:%Y-%m-%dT%H:%M:%SZ}"
        )
    return at


def _place(location: Sequence[str | int], is_list: bool) -> str:
    number, *fields = location
    start = f"[{number}]" if is_list else ""
    # The first of the rest says which kind of item it was taken for.
    return (start + "".join(f".{part}" for part in fields[1:])).removeprefix(".")


def _problem(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
