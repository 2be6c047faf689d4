import math

import pytest

from deployments.columns import Meaning, number_in

COMMA = Meaning(decimal=",", thousands=".")


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (" 1.5\t", 1.5), ("+4", 4), ("-.5", -0.5), ("1e3", 1000), ("007", 7), ("True", 1), ("0x1F", 31)],
)
def test_text_that_training_reads_as_a_number_is_one(text: str, number: float) -> None:
    assert number_in(text, Meaning()) == number


@pytest.mark.parametrize(("text", "number"), [("1,5", 1.5), ("1.234,5", 1234.5), ("1.234.567", 1234567), ("12", 12)])
def test_decimal_sign_and_groups_are_the_columns_own(text: str, number: float) -> None:
    assert number_in(text, COMMA) == number


@pytest.mark.parametrize("text", ["1_000", "٣", "inf", "Infinity", "ten", "1,5", "--1", "1 2", "e5", ".", "9" * 1000])
def test_any_other_text_is_no_number(text: str) -> None:
    with pytest.raises(ValueError):
        number_in(text, Meaning())


@pytest.mark.parametrize("text", ["1.5", "1.23", "12.34,5", "1.2345"])
def test_a_sign_for_groups_where_there_are_none_is_another_decimal_sign(text: str) -> None:
    with pytest.raises(ValueError):
        number_in(text, COMMA)


def test_words_for_a_missing_value_are_the_columns_own() -> None:
    assert math.isnan(number_in("NA", Meaning()))
    assert math.isnan(number_in("-", Meaning(nulls=frozenset({"-"}))))
    with pytest.raises(ValueError):
        number_in("NA", Meaning(nulls=frozenset()))
