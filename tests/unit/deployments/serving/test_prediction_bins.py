import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving.prediction_bins import ROWS_KEPT, Bins, bin_of_number


def bounds_of(name: str) -> tuple[float, float]:
    """The two numbers of `low..high`."""
    low, high = name.split("..")
    return float(low), float(high)


@given(st.floats(min_value=2**-20, max_value=2**59))
def test_a_number_lies_in_the_bin_that_is_named_after_its_bounds(number: float) -> None:
    low, high = bounds_of(bin_of_number(number))
    assert low * 0.99 <= number <= high * 1.01  # the names are rounded to three digits
    assert high / low == pytest.approx(2**0.25, rel=0.01)


@given(st.floats(min_value=2**-20, max_value=2**59))
def test_negative_numbers_mirror_the_positive_ones(number: float) -> None:
    low, high = bounds_of(bin_of_number(number))
    assert bounds_of(bin_of_number(-number)) == (-high, -low)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_bins_are_few_and_stand_in_the_order_of_their_numbers(one: float, other: float) -> None:
    every = {bin_of_number(sign * 2.0 ** (quarter / 4)) for quarter in range(-400, 400) for sign in (-1, 1)}
    assert len(every) == 2 * 321 + 1
    assert {bin_of_number(one), bin_of_number(other)} <= every
    if abs(one) * 1.5 < abs(other) and 2**-20 <= abs(other) < 2**60:
        assert bin_of_number(one) != bin_of_number(other)


@pytest.mark.parametrize(
    ("number", "name"),
    [(0.0, "0"), (1e-9, "0"), (-1e-300, "0"), (1.0, "1..1.19"), (-1.5, "-1.68..-1.41"), (1e300, ">=1.15e+18")],
)
def test_bins_have_readable_names(number: float, name: str) -> None:
    assert bin_of_number(number) == name


def counted(rows: Any, classes: Sequence[Any] = ()) -> Mapping[str, int]:
    return Bins(classes).counted(np.asarray(rows))


def kept(rows: Any, classes: Sequence[Any] = ()) -> tuple[str | float, ...]:
    return Bins(classes).kept(np.asarray(rows))


def test_scores_of_two_classes_are_counted_by_tenths_and_kept_as_the_class() -> None:
    rows = [[0.95, 0.05], [0.45, 0.55], [0.0, 1.0], [0.7, 0.3]]
    assert counted(rows, (False, True)) == {"0.0..0.1": 1, "0.5..0.6": 1, "0.9..1.0": 1, "0.3..0.4": 1}
    assert [counted([row], (False, True)) for row in rows[:2]] == [{"0.0..0.1": 1}, {"0.5..0.6": 1}]
    assert kept(rows, (False, True)) == ("false", "true", "true", "false")


def test_probabilities_of_more_classes_are_counted_by_the_likeliest() -> None:
    rows, classes = [[0.2, 0.5, 0.3], [0.4, 0.3, 0.3], [0.1, 0.6, 0.3]], ("a", "b", "c")
    assert (counted(rows, classes), kept(rows, classes)) == ({"b": 2, "a": 1}, ("b", "a", "b"))


def test_labels_are_counted_as_text_and_numbers_by_their_bin() -> None:
    assert counted([7, 8, 7], (7, 8)) == {"7": 2, "8": 1}
    assert counted([True, False, True], (False, True)) == {"true": 2, "false": 1}
    assert counted([7.0, 7.1, -7.0]) == {"6.73..8": 2, "-8..-6.73": 1}
    assert kept([7.0, 7.1, -7.0]) == (7.0, 7.1, -7.0)


def test_more_labels_than_anybody_reads_share_a_thousand_bins() -> None:
    labels = [f"label {number}" for number in range(5000)]
    assert len(counted(labels, labels)) <= 1000
    assert counted(labels[:3], labels) == counted(labels[:3], labels[:4000])
    assert sum(counted(np.eye(5000), labels).values()) == 5000


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=16, max_size=40))
def test_many_numbers_are_counted_as_each_alone(numbers: list[float]) -> None:
    assert counted(numbers) == Counter(map(bin_of_number, numbers))


def test_of_a_long_batch_all_rows_are_counted_and_the_first_are_kept() -> None:
    assert sum(counted([1.0] * 1000).values()) == 1000
    assert len(kept([1.0] * 1000)) == ROWS_KEPT


@pytest.mark.parametrize("rows", [[], [[1.0, 2.0]], [None], ["text"], [{"a": 1}]])
def test_an_unusual_model_is_counted_somehow_and_never_fails(rows: list[object]) -> None:
    assert sum(counted(rows).values()) == len(kept(rows)) == len(rows)


def test_a_bin_takes_its_lower_bound_and_not_its_upper() -> None:
    for quarter in range(-80, 240):
        edge = 2.0 ** (quarter / 4)
        below = math.nextafter(edge, 0)
        assert bin_of_number(edge) != bin_of_number(below)
