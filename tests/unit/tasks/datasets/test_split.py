from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from deployments.errors import BadData
from tasks.datasets.split import Split, split_by_time
from tasks.product_spec import DataSection


def _data(**fields: Any) -> DataSection:
    given = {"source": {"path": "x.csv"}, "target": "y", "time_column": "at", "split": {"share": 0.25}} | fields
    return DataSection.model_validate(given)


def _frame(hours: list[int], y: list[Any] | None = None) -> pd.DataFrame:
    at = pd.to_datetime(pd.Series(hours), unit="h", utc=True).dt.as_unit("us")
    return pd.DataFrame({"at": at, "row": range(len(hours)), "y": y or [row % 3 for row in range(len(hours))]})


def _assert_whole(split: Split, frame: pd.DataFrame) -> None:
    assert sorted([*split.training["row"], *split.evaluation["row"]]) == list(frame["row"])


def test_every_evaluation_row_is_newer_than_every_training_row() -> None:
    frame = _frame([5, 3, 8, 1, 9, 2, 7, 4, 6, 10, 12, 11])
    split = split_by_time(frame, _data())
    _assert_whole(split, frame)
    assert len(split.evaluation) == 3
    assert split.boundary == split.evaluation["at"].min()
    assert split.training["at"].max() < split.boundary
    assert split.training["at"].is_monotonic_increasing


def test_a_duration_holds_out_that_much_of_the_newest_time() -> None:
    split = split_by_time(_frame(list(range(48))), _data(split={"evaluation": "12h"}))
    assert list(split.evaluation["row"]) == list(range(36, 48))


@pytest.mark.parametrize("rule", [{"share": 0.25}, {"evaluation": "2h"}])
def test_rows_of_one_moment_stay_together(rule: dict[str, Any]) -> None:
    frame = _frame([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    split = split_by_time(frame, _data(split=rule))
    _assert_whole(split, frame)
    assert not set(split.training["at"]) & set(split.evaluation["at"])
    assert len(split.training) % 3 == 0


def test_rows_of_one_moment_keep_their_order() -> None:
    split = split_by_time(_frame([2, 1, 1, 1, 2, 3, 3, 3]), _data(split={"evaluation": "1h"}))
    assert list(split.training["row"]) == [1, 2, 3, 0, 4]


def test_without_a_time_rows_are_drawn_and_always_the_same() -> None:
    frame = _frame(list(range(100)))
    data = _data(time_column=None)
    split, again = split_by_time(frame, data), split_by_time(frame, data)
    _assert_whole(split, frame)
    assert len(split.evaluation) == 25
    assert split.boundary is None
    assert list(split.evaluation["row"]) == list(again.evaluation["row"])
    assert list(split.evaluation["row"]) != list(range(75, 100))


def test_a_row_that_was_learned_from_is_not_held_out_after_the_source_changed_order_and_grew() -> None:
    data = _data(time_column=None)
    before = split_by_time(_frame(list(range(400))), data)
    after = split_by_time(_frame(list(range(440))).sample(frac=1.0, random_state=1), data)
    crossed = set(before.training["row"]) & set(after.evaluation["row"])
    assert len(crossed) <= 10  # by chance it would be about 80


def test_copies_of_a_row_stay_together_without_a_time() -> None:
    once = _frame(list(range(100)))
    split = split_by_time(pd.concat([once, once], ignore_index=True), _data(time_column=None))
    assert not set(split.training["row"]) & set(split.evaluation["row"])
    assert len(split.evaluation) == 50


def test_every_kind_of_column_can_decide_where_a_row_falls() -> None:
    odd = {"kinds": [None, True, Decimal("1.5"), "x"] * 10, "lists": [[1], [2], [3], []] * 10, "day": [date.max] * 40}
    gaps = pd.array([1, None, 2, 3] * 10, dtype="Int64")
    split = split_by_time(_frame(list(range(40))).assign(gaps=gaps, **odd), _data(time_column=None))
    assert len(split.evaluation) == 10


def test_the_key_alone_decides_where_a_row_falls() -> None:
    frame = _frame(list(range(100)))
    data = _data(time_column=None, key=("row",))
    corrected = frame.assign(y=list(reversed(frame["y"])))
    assert list(split_by_time(frame, data).evaluation["row"]) == list(split_by_time(corrected, data).evaluation["row"])


def test_rows_sorted_by_class_still_split_without_a_time() -> None:
    frame = _frame(list(range(90)), y=[row // 30 for row in range(90)])
    split = split_by_time(frame, _data(time_column=None))
    assert set(split.evaluation["y"]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("rule", "part"),
    [({"evaluation": "90d"}, "training"), ({"evaluation": "999w"}, "training"), ({"share": 0.99}, "training")],
)
def test_an_empty_part_is_refused(rule: dict[str, Any], part: str) -> None:
    with pytest.raises(BadData, match=f"the {part} part is empty"):
        split_by_time(_frame([1, 2, 3, 4]), _data(split=rule))


def test_an_empty_evaluation_is_refused_without_a_time() -> None:
    with pytest.raises(BadData, match=r"the evaluation part is empty: data\.split holds out 10% of the rows"):
        split_by_time(_frame([1, 2, 3, 4]), _data(time_column=None, split={"share": 0.1}))


def test_no_rows_are_refused() -> None:
    with pytest.raises(BadData, match="no rows to split"):
        split_by_time(_frame([1]).iloc[:0], _data())


@pytest.mark.parametrize(("empty_row", "part"), [(0, "training"), (7, "evaluation")])
def test_a_missing_target_is_counted_and_placed(empty_row: int, part: str) -> None:
    y: list[Any] = [1.0, 0.0] * 4
    y[empty_row] = None
    with pytest.raises(BadData, match=f"target 'y' is empty in 1 of . {part} rows"):
        split_by_time(_frame(list(range(8)), y), _data(split={"share": 0.5}))


@pytest.mark.parametrize(
    ("y", "part"), [([1, 1, 1, 1, 0, 1, 0, 1], "training"), (["a", "b", "a", "b", "a", "a", "a", "a"], "evaluation")]
)
def test_a_part_that_knows_one_value_of_the_target_is_refused(y: list[Any], part: str) -> None:
    with pytest.raises(BadData, match=f"only one value in 4 {part} rows"):
        split_by_time(_frame(list(range(8)), y), _data(split={"share": 0.5}))
