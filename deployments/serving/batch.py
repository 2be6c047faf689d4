"""Rows of one request, or of several, in the form that models take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployments.serving.description import Feature, Kind

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows` rows, at least one.

    `numbers` is a float64 array of shape (rows, numeric features) in C order, NaN where a value is missing;
    `categories` holds one sequence of `rows` texts, None where missing, for each categorical feature. Both keep the
    order that the features of their kind have in the model's description.
    """

    rows: int
    numbers: "np.ndarray"
    categories: tuple[Sequence[str | None], ...]

    def frame(self, features: Sequence[Feature]) -> "pd.DataFrame":
        """The same as the frame that a pipeline was trained on: its columns in the order of `features`."""
        import pandas as pd

        index = pd.RangeIndex(self.rows)
        numbers, categories = iter(self.numbers.T), iter(self.categories)
        columns = {
            feature.name: next(numbers)
            if feature.kind is Kind.NUMERIC
            else pd.Series(next(categories), dtype=object, index=index)
            for feature in features
        }
        return pd.DataFrame(columns, index=index, copy=False)
