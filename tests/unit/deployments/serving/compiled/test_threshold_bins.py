"""Places between thresholds are those of a binary search, whatever the thresholds and the numbers are."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving.compiled.threshold_bins import Cells

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-5, 5).map(float),
    st.floats(0.999, 1.001),
    st.sampled_from([5e-324, -5e-324, 1.7976931348623157e308, -1.7976931348623157e308, -0.0]),
)


def searched(thresholds: list[np.ndarray], starts: np.ndarray, values: np.ndarray) -> list[list[int]]:
    columns = [
        np.where(np.isnan(column), len(each) + 1, np.searchsorted(each, column)) + start
        for each, start, column in zip(thresholds, starts, values.T, strict=True)
    ]
    return np.array(columns).T.tolist()


@given(st.data())
def test_places_are_those_of_a_binary_search(data: st.DataObject) -> None:
    thresholds = [
        np.unique(each) for each in data.draw(st.lists(st.lists(numbers, min_size=1), min_size=1, max_size=3))
    ]
    near = st.sampled_from([value for each in thresholds for value in each.tolist()])
    row = st.tuples(*[st.one_of(numbers, near, st.just(float("nan")))] * len(thresholds))
    values = np.array(data.draw(st.lists(row, min_size=1, max_size=9)))
    starts = np.cumsum([7, *(len(each) + 2 for each in thresholds)])[:-1]
    assert Cells(thresholds, starts).places(values).tolist() == searched(thresholds, starts, values)


@pytest.mark.parametrize(
    "thresholds",
    [
        np.linspace(0, 1, 200),
        np.geomspace(1e-12, 1e12, 200),
        np.concatenate([np.linspace(0, 1e-9, 50), [1e9]]),
        np.array([3.0]),
    ],
)
def test_evenly_or_not_all_thresholds_count(thresholds: Any) -> None:
    values = np.concatenate([thresholds, np.nextafter(thresholds, -np.inf), np.nextafter(thresholds, np.inf), [np.nan]])
    starts = np.array([0])
    found = Cells([thresholds], starts).places(values.reshape(-1, 1))
    assert found.tolist() == searched([thresholds], starts, values.reshape(-1, 1))
