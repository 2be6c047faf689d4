"""Which category a value is: the one of its text, else the one of its meaning among those that training saw.

`True`, `TRUE` and JSON's true are one value, and so are 1, 1.0 and `1.00`; `01067` and `1067` are two, and `3.10` and
`3.1` are two unless the column held numbers. What is none of the known ones stays what it is: unknown.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from deployments.columns.column_semantics import USUAL, Held, Meaning

# What stands for a missing value among the categories of an encoder.
MISSING: Final = "(missing)"
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.0+)?")
# No number that anybody writes is longer; others are not looked into.
_LONGEST: Final = 64
# So many texts are remembered with what they mean, none of which is long.
_REMEMBERED: Final = 2_000
_WORDS: Final = {True: ("true", "True", "TRUE"), False: ("false", "False", "FALSE")}
_DIGITS: Final = {True: ("1", "1.0"), False: ("0", "0.0")}
# A text column may hold a number with so many decimals at most, where JSON drops its zeros.
_MOST_ZEROS: Final = 6


def text_of(value: Any) -> str:
    """The text of a category: `true`, `7` also for 7.0, `7.5`; decimal numbers by value, with all their digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, Decimal):
        return _text_of_decimal(value)
    return str(value)


def _text_of_decimal(value: Decimal) -> str:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value():
        return str(int(value))
    as_float = float(value)
    # As JSON writes it, unless that would lose a digit.
    return str(as_float) if Decimal(str(as_float)) == value else _in_full(value)


def _in_full(value: Decimal) -> str:
    """Every digit, and no zero that could be left out."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


class Categories(dict[str | None, str | None]):
    """What a text is to the model, by text: a known category, None for a missing value, or itself if it is unknown.

    `known` are the categories that training saw, None if nobody knows them.
    """

    def __init__(self, known: frozenset[str] | None, meaning: Meaning) -> None:
        super().__init__({None: None})
        self.update(dict.fromkeys(meaning.nulls))
        self.update({category: category for category in known or ()})
        self.known: frozenset[str | None] | None = None if known is None else frozenset(known) | {None}
        self._meaning = meaning
        seen = frozenset(known or ()) - {MISSING}
        self._truths = _truths(seen)
        self._are_booleans = 0 < len(seen) == len(seen & {*_WORDS[True], *_WORDS[False]})
        self._are_numbers = _are_numbers(seen, meaning)
        self._moments = _by_moment(seen, meaning) if meaning.held is Held.TIME else {}
        self._of_numbers: dict[str, str] = {}

    def __missing__(self, text: str | None) -> str | None:
        """What a text means that is not there yet."""
        if text is None or len(text) > _LONGEST or self.known is None:
            return text
        meant = self._of_text(text)
        if len(self) < _REMEMBERED + len(self.known):
            self[text] = meant
        return meant

    def of(self, value: Any) -> str | None:
        """What a value of any type means: text, a truth value, a number, a moment, None."""
        if value is None or isinstance(value, str):
            return self[value]
        if isinstance(value, bool):
            return self._truths.get(value, text_of(value))
        text = text_of(self._meaning.narrowed(value) if isinstance(value, float) else value)
        if not isinstance(value, int | float | Decimal):
            return self[text]
        if (meant := self._of_numbers.get(text)) is None:
            meant = self._of_number(text)
            if len(self._of_numbers) < _REMEMBERED:
                self._of_numbers[text] = meant
        return meant

    def unknown_in(self, values: Iterable[str | None]) -> int:
        """How many of `values`, which are what `of` gave, training never saw; 0 if nobody knows what it saw."""
        known = self.known
        return 0 if known is None else sum(value not in known for value in values)

    def _of_text(self, text: str) -> str:
        truth = self._meaning.truth(text)
        if truth is None:
            truth = USUAL.truth(text)
        if truth is not None and truth in self._truths:
            return self._truths[truth]
        if self._are_booleans or self._are_numbers or _WHOLE.fullmatch(text):
            number = _number(text, self._meaning)
            return text if number is None else self._of_decimal(number) or text
        if self._moments and (moment := _moment(text, self._meaning)) is not None:
            return self._moments.get(moment, text)
        return text

    def _of_number(self, text: str) -> str:
        if self.known is None or text in self.known:
            return text
        number = _number(text, USUAL)
        return text if number is None else self._of_decimal(number) or text

    def _of_decimal(self, number: Decimal) -> str | None:
        """The known category that is this number."""
        if self._are_booleans:
            return self._truths.get(bool(number)) if number in {0, 1} else None
        known = self.known or frozenset()
        return next((text for text in _texts_of(number) if text in known), None)


def _texts_of(number: Decimal) -> Iterator[str]:
    """How a column may have it written, the usual first."""
    usual = text_of(number)
    yield usual
    plain = _in_full(number)
    yield plain
    if "e" not in usual:
        point = "" if "." in plain else "."
        yield from (f"{plain}{point}{'0' * zeros}" for zeros in range(1, _MOST_ZEROS + 1))


def _number(text: str, meaning: Meaning) -> Decimal | None:
    """The number that a text is, to its last digit; None for `01067`, and for what is no number."""
    if len(text) > _LONGEST:
        return None
    if meaning.thousands:
        text = text.replace(meaning.thousands, "")
    if meaning.decimal != ".":
        text = text.replace(meaning.decimal, ".")
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def _are_numbers(seen: frozenset[str], meaning: Meaning) -> bool:
    """Whether the column held numbers; of a version that does not say, whether all its categories are some."""
    if meaning.held is not None:
        return meaning.held is Held.NUMBER
    return bool(seen) and all(_DECIMAL.fullmatch(text) for text in seen)


def _truths(seen: frozenset[str]) -> dict[bool, str]:
    """The category of each truth value: `true`, `True` or `TRUE`; in a column of nothing but 0 and 1, these."""
    names = _DIGITS if seen and seen <= {*_DIGITS[True], *_DIGITS[False]} else _WORDS
    found = {truth: [name for name in of_it if name in seen] for truth, of_it in names.items()}
    return {truth: given[0] for truth, given in found.items() if given}


def _by_moment(seen: frozenset[str], meaning: Meaning) -> dict[datetime, str]:
    return {moment: text for text in seen if (moment := _moment(text, meaning)) is not None}


def _moment(text: str, meaning: Meaning) -> datetime | None:
    """Without its zone, in UTC."""
    try:
        moment = datetime.strptime(text, meaning.format) if meaning.format else None  # noqa: DTZ007
    except ValueError:
        moment = None
    try:
        moment = moment or datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
