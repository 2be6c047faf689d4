import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from deployments.columns import Categories, Held, Meaning, text_of

TEXT, NUMBER = Meaning(held=Held.TEXT), Meaning(held=Held.NUMBER)


def meant(known: set[str], value: Any, meaning: Meaning = TEXT) -> str | None:
    return Categories(frozenset(known), meaning).of(value)


@pytest.mark.parametrize("value", [True, "true", "True", "TRUE", " true ", 1, 1.0, "1", "1.0", Decimal(1)])
@pytest.mark.parametrize("known", [{"true", "false"}, {"True", "False"}, {"true", "false", "(missing)"}])
def test_a_truth_value_is_the_same_in_every_spelling_where_categories_are_some(known: set[str], value: Any) -> None:
    assert meant(known, value) in {"true", "True"} & known


@pytest.mark.parametrize("value", [True, "True", "true", 1, "1", 1.0])
def test_a_truth_value_is_one_or_zero_where_categories_are_these(value: Any) -> None:
    assert meant({"0", "1"}, value, NUMBER) == "1"


@pytest.mark.parametrize(
    ("known", "value", "found"),
    [
        ({"01067", "1067"}, "01067", "01067"),
        ({"01067", "1067"}, 1067, "1067"),
        ({"1067"}, "01067", "01067"),
        ({"01067"}, 1067, "1067"),
        ({"1", "x"}, "1.0", "1"),
        ({"1", "x"}, 1.0, "1"),
        ({"1.0", "x"}, 1, "1.0"),
        ({"1", "x"}, "+1", "+1"),
        ({"1000", "x"}, "1e3", "1e3"),
        ({"3.1", "3.9", "x"}, "3.10", "3.10"),
        ({"3.10", "x"}, 3.1, "3.10"),
        ({"yes", "no"}, True, "true"),
        ({"a"}, " a", " a"),
        ({"ä"}, "a\u0308", "a\u0308"),
    ],
)
def test_text_is_another_category_only_where_it_is_the_same_number(known: set[str], value: Any, found: str) -> None:
    assert meant(known, value) == found


@pytest.mark.parametrize("value", ["1.50", "1.5", 1.5, Decimal("1.500"), "15e-1"])
def test_a_column_of_numbers_goes_by_value(value: Any) -> None:
    assert meant({"1.5", "2"}, value, NUMBER) == "1.5"


def test_whole_numbers_are_told_apart_to_their_last_digit() -> None:
    known = {"1234567890123456789", "1234567890123456790", "18446744073709551615"}
    assert meant(known, 1234567890123456789, NUMBER) == "1234567890123456789"
    assert meant(known, "1234567890123456790", NUMBER) == "1234567890123456790"
    assert meant(known, 2**64 - 1, NUMBER) == "18446744073709551615"
    assert meant(known, 1.2345678901234568e18, NUMBER) not in known


@pytest.mark.parametrize("word", ["NA", "", "nan", "None", "null"])
def test_a_word_for_a_missing_value_is_one_unless_a_category_is_called_so(word: str) -> None:
    assert meant({"a"}, word) is None
    assert meant({"a", word}, word) == word
    assert meant({"a"}, word, Meaning(nulls=frozenset())) == word
    assert meant({"a"}, "-", Meaning(nulls=frozenset({"-"}))) is None


def test_a_moment_is_the_same_in_every_spelling_where_categories_are_some() -> None:
    moments = Meaning(held=Held.TIME)
    for value in ("2020-01-02", "2020-01-02T00:00:00", "2020-01-02 00:00:00+00:00", dt.date(2020, 1, 2)):
        assert meant({"2020-01-02 00:00:00", "2020-01-03 00:00:00"}, value, moments) == "2020-01-02 00:00:00"
    assert meant({"2020-01-02 00:00:00"}, "2020-01-02", TEXT) == "2020-01-02"


def test_a_version_that_says_nothing_is_told_by_its_categories() -> None:
    assert meant({"1.5", "2"}, "1.50", Meaning()) == "1.5"
    assert meant({"1.5", "x"}, "1.50", Meaning()) == "1.50"


def test_a_decimal_comma_is_read_in_a_column_of_numbers() -> None:
    assert meant({"1234.5"}, "1.234,50", Meaning(held=Held.NUMBER, decimal=",", thousands=".")) == "1234.5"


def test_what_nobody_knows_stays_what_it_is_and_is_counted_as_unknown_nowhere() -> None:
    categories = Categories(None, Meaning())
    assert [categories.of(value) for value in ("x", 7.0, True, None)] == ["x", "7", "true", None]
    assert categories.unknown_in(["x"]) == 0
    assert Categories(frozenset({"a"}), TEXT).unknown_in(["a", None, "b", "b"]) == 2


def test_memory_is_bounded_whatever_is_asked() -> None:
    categories = Categories(frozenset({"1"}), NUMBER)
    for number in range(10_000):
        assert categories.of(f"{number}.5") == f"{number}.5"
        assert categories.of(number + 0.25) == f"{number}.25"
    assert categories.of("9" * 100_000) == "9" * 100_000
    assert len(categories) < 3_000


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("1234567890123456789"), "1234567890123456789"), (Decimal("0.10"), "0.1"), (Decimal("1E+2"), "100")],
)
def test_decimal_numbers_are_written_by_value_with_every_digit(value: Decimal, text: str) -> None:
    assert text_of(value) == text
    many = Decimal("0.1234567890123456789012345678901234567890")
    assert text_of(many) == "0.123456789012345678901234567890123456789"
