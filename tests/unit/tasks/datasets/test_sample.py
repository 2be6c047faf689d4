"""A part of the rows is the same part each time, and what was held out stays newer than what is learned."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.errors import BadData, BadInput
from tasks.data_spec import DataSection, Source, SplitRule
from tasks.datasets.sample import SampleSize, parse_sample_size, sampled
from tasks.datasets.split import split_by_time
from tests.advice import followed


def frame(rows: int = 5000) -> pd.DataFrame:
    random = np.random.default_rng(3)
    at = pd.date_range("2026-01-01", periods=rows, freq="min", tz="UTC")
    return pd.DataFrame({"at": at, "id": np.arange(rows), "x": random.normal(size=rows), "y": np.arange(rows) % 2})


def section(**changes: Any) -> DataSection:
    usual = {"source": Source(path="rows.csv"), "target": "y", "time_column": "at", "split": SplitRule(share=0.2)}
    return DataSection(**(usual | changes))


def test_a_split_by_time_stays_one() -> None:
    data = section()
    whole = split_by_time(frame(), data)
    part = sampled(whole, SampleSize(rows=500), data)
    assert (len(part.training), len(part.evaluation)) == (400, 100)
    assert part.training["at"].max() < part.boundary <= part.evaluation["at"].min()
    assert part.boundary == whole.boundary
    assert part.training["at"].is_monotonic_increasing
    assert part.training["at"].max() - part.training["at"].min() > pd.Timedelta(days=2)  # from all over it


@pytest.mark.parametrize("changes", [{}, {"key": ("id",)}, {"time_column": None}])
def test_the_same_rows_give_the_same_sample_wherever_they_stand(changes: dict[str, Any]) -> None:
    data, rows = section(**changes), frame()
    shuffled = rows.sample(frac=1, random_state=1)
    parts = [sampled(split_by_time(each, data), SampleSize(share=0.1), data) for each in (rows, shuffled)]
    for name in ("training", "evaluation"):
        one, other = (set(getattr(part, name)["id"]) for part in parts)
        assert one == other
        assert len(one) in {400, 100}


def test_a_sample_of_all_is_all() -> None:
    data = section()
    whole = split_by_time(frame(100), data)
    assert sampled(whole, SampleSize(), data) is whole
    assert sampled(whole, SampleSize(rows=100), data) is whole


def test_a_sample_without_one_of_two_values_is_refused() -> None:
    data, rows = section(), frame()
    rows["y"] = (rows["id"] % 500 == 0).astype(int)
    with pytest.raises(BadData, match="has only one value in a sample of") as error:
        sampled(split_by_time(rows, data), SampleSize(rows=20), data)
    assert "take a larger sample" in str(error.value)
    sampled(split_by_time(rows, data), SampleSize(rows=4900), data)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10000", SampleSize(rows=10_000)),
        ("10,000", SampleSize(rows=10_000)),
        ("0.1", SampleSize(share=0.1)),
        ("2.5%", SampleSize(share=0.025)),
        ("all", SampleSize()),
    ],
)
def test_sizes(text: str, size: SampleSize) -> None:
    assert parse_sample_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "3", "-5", "1.5", "0.0", "101%", "many", "nan", "1e4", "10 %x"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_sample_size(text)
    assert "is no sample: give a number from 20 on" in str(error.value)
    assert followed(" on, a share such as 0.1 or 10%, or all") in str(error.value)
    for each in ("20", "0.1", "10%", "all"):
        parse_sample_size(each)
