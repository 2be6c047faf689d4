"""A part of the rows, for a training that has to be quick: the same one for the same rows."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deployments.errors import BadData, BadInput
from deployments.plurals import counted
from tasks.datasets.split import Split, lots
from tasks.product_spec import DataSection

if TYPE_CHECKING:
    import pandas as pd

_FEWEST: Final = 20
_SHARE: Final = re.compile(r"0?\.\d+|\d+(\.\d+)?%")


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How much: a number of rows, or a share of them between 0 and 1; both None: all."""

    rows: int | None = None
    share: float | None = None

    def of(self, rows: int) -> int:
        """How many of `rows` rows."""
        if self.share is not None:
            return min(rows, max(_FEWEST, round(rows * self.share)))
        return rows if self.rows is None else min(rows, self.rows)


def parse_sample_size(text: str) -> SampleSize:
    """`10000` rows, the share `0.1` or `10%`, or `all`. Raises `BadInput`."""
    told = text.strip().replace(",", "").replace("_", "")
    if told == "all":
        return SampleSize()
    if told.isdecimal() and int(told) >= _FEWEST:
        return SampleSize(rows=int(told))
    if _SHARE.fullmatch(told):
        share = float(told.removesuffix("%")) / (100 if told.endswith("%") else 1)
        if 0 < share <= 1:
            return SampleSize(share=share)
    raise BadInput(f"{text!r} is no sample: give a number from {_FEWEST} on, a share such as 0.1 or 10%, or all")


def sampled(split: Split, size: SampleSize, data: DataSection) -> Split:
    """A split with fewer rows in the same proportion: what was held out stays held out, newer than all that is learned.

    Which rows, their content decides (their key, if the spec names one), as in a split without a time. Either part
    keeps its order. Raises `BadData` where only one value of the target is left in a part.
    """
    total = len(split.training) + len(split.evaluation)
    wanted = size.of(total)
    if wanted >= total:
        return split
    held_out = min(max(1, round(wanted * len(split.evaluation) / total)), len(split.evaluation))
    parts = (_some(split.training, max(1, wanted - held_out), data), _some(split.evaluation, held_out, data))
    for name, part in zip(("training", "evaluation"), parts, strict=True):
        target = part[data.target]
        if (target.astype(str) if target.dtype == object else target).nunique() == 1:
            raise BadData(
                f"target {data.target!r} has only one value in a sample of {counted(len(part), f'{name} row')}: "
                "take a larger sample"
            )
    return Split(*parts, split.boundary)


def _some(frame: "pd.DataFrame", wanted: int, data: DataSection) -> "pd.DataFrame":
    import numpy as np

    if wanted >= len(frame):
        return frame
    drawn = np.argsort(lots(frame[list(data.key)] if data.key else frame), kind="stable")[:wanted]
    return frame.iloc[np.sort(drawn)]
