"""Training rows and evaluation rows: the model is judged on what came after all that it learned from."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from deployments.durations import format_duration
from deployments.errors import BadData
from deployments.plurals import counted
from tasks.datasets.time_windows import STEP
from tasks.product_spec import DataSection

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# Without a time column rows are dealt out by their content under this key, not by their place.
_DEAL = "seatrial deal 01"


@dataclass(frozen=True, slots=True)
class Split:
    """Two parts of one frame that share no row.

    `boundary` is the first moment of the evaluation: every training row is older, no evaluation row is. None without a
    time column.
    """

    training: "pd.DataFrame"
    evaluation: "pd.DataFrame"
    boundary: datetime | None


def split_by_time(frame: "pd.DataFrame", data: DataSection) -> Split:
    """The newest part of `frame` for the evaluation, the rest for training, both sorted by time.

    Rows of one moment stay together, on the newer side. Without a time column a row's own content (its key, if the spec
    names one) decides: equal rows stay together, and a row that the champion learned from is not held out to judge it
    later, wherever the source puts it. Either part keeps the rows' order and index labels.

    Raises `BadData` if a part is empty, misses the target in some rows, or knows only one value of it.
    """
    split = _by_content(frame, data) if data.time_column is None else _at_moment(frame, data, data.time_column)
    for name, part in (("training", split.training), ("evaluation", split.evaluation)):
        _check_part(name, part, data)
    return split


def _at_moment(frame: "pd.DataFrame", data: DataSection, time: str) -> Split:
    if frame.empty:
        raise BadData("there are no rows to split: check data.window")
    ordered = frame.sort_values(time, kind="stable")
    moments = ordered[time]
    boundary = (
        moments.iloc[-1] + STEP - data.split.evaluation if data.split.evaluation else _moment_of_share(moments, data)
    )
    is_training = moments < boundary
    return Split(ordered[is_training], ordered[~is_training], boundary.to_pydatetime())


def _moment_of_share(moments: "pd.Series[pd.Timestamp]", data: DataSection) -> "pd.Timestamp":
    return moments.iloc[-max(1, _held_out(len(moments), data))]


def _by_content(frame: "pd.DataFrame", data: DataSection) -> Split:
    import numpy as np

    held_out = _held_out(len(frame), data)
    if not held_out:
        return Split(frame, frame.iloc[:0], None)
    drawn = lots(frame[list(data.key)] if data.key else frame)
    is_evaluation = drawn <= np.partition(drawn, held_out - 1)[held_out - 1]
    return Split(frame[~is_evaluation], frame[is_evaluation], None)


def lots(frame: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    """A number a row, as good as drawn; whole numbers with gaps, which pandas holds as floats, count as without."""
    from pandas.util import hash_pandas_object

    plain = {name: _hashable(column) for name, column in frame.items()}
    return hash_pandas_object(type(frame)(plain), index=False, hash_key=_DEAL).to_numpy()


def _hashable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    from pandas.api import types

    if types.is_numeric_dtype(column.dtype):
        return column.astype("float64")
    if column.dtype != object:
        return column
    try:
        return column.astype(str)  # lists, dates and other objects by their text
    except UnicodeDecodeError:
        return column.map(repr, na_action="ignore")


def _held_out(rows: int, data: DataSection) -> int:
    return round(rows * (data.split.share or 0.0))


def _check_part(name: str, part: "pd.DataFrame", data: DataSection) -> None:
    if part.empty:
        raise BadData(f"the {name} part is empty: data.split holds out {_rule(data)}, choose less or widen data.window")
    target = part[data.target]
    if missing := int(target.isna().sum()):
        raise BadData(
            f"target {data.target!r} is empty in {missing:,} of {counted(len(part), f'{name} row')}: leave these out"
        )
    if (_hashable(target) if target.dtype == object else target).nunique() == 1:
        raise BadData(
            f"target {data.target!r} has only one value in {counted(len(part), f'{name} row')}: "
            "widen data.window or data.split, nothing can be learned or judged"
        )


def _rule(data: DataSection) -> str:
    held: timedelta | None = data.split.evaluation
    return format_duration(held) if held is not None else f"{100 * (data.split.share or 0):g} % of the rows"
