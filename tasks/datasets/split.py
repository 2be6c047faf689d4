"""Training rows and evaluation rows: the model is judged on what came after all that it learned from."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from deployments.durations import format_duration
from deployments.errors import BadData
from tasks.datasets.windows import STEP
from tasks.spec import DataSection

if TYPE_CHECKING:
    import pandas as pd

# Without a time column rows are dealt out by this seed: the same rows give the same parts.
_SEED = 20130101


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

    Rows of one moment stay together, on the newer side. Without a time column rows are drawn by a fixed seed, for their
    order may mean something (all of one class first), and stay in that order. The frame's index labels are kept.

    Raises `BadData` if a part is empty, misses the target in some rows, or knows only one value of it.
    """
    split = _at_random(frame, data) if data.time_column is None else _at_moment(frame, data, data.time_column)
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


def _at_random(frame: "pd.DataFrame", data: DataSection) -> Split:
    import numpy as np

    order = np.random.default_rng(_SEED).permutation(len(frame))
    first = len(frame) - _held_out(len(frame), data)
    return Split(frame.iloc[np.sort(order[:first])], frame.iloc[np.sort(order[first:])], None)


def _held_out(rows: int, data: DataSection) -> int:
    return round(rows * (data.split.share or 0.0))


def _check_part(name: str, part: "pd.DataFrame", data: DataSection) -> None:
    if part.empty:
        raise BadData(f"the {name} part is empty: data.split holds out {_rule(data)}, choose less or widen data.window")
    target = part[data.target]
    if missing := int(target.isna().sum()):
        raise BadData(f"target {data.target!r} is empty in {missing:,} of {len(part):,} {name} rows: leave these out")
    if target.nunique() == 1:
        raise BadData(
            f"target {data.target!r} has only one value in all {len(part):,} {name} rows: "
            "widen data.window or data.split, nothing can be learned or judged"
        )


def _rule(data: DataSection) -> str:
    held: timedelta | None = data.split.evaluation
    return format_duration(held) if held is not None else f"{data.split.share:.0%} of the rows"
