"""Columns as a model takes them in: numbers as float64, categories as text, missing as NaN and None.

Training, evaluation and serving agree on this form; the server builds the same from JSON.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from deployments.errors import BadData
from deployments.plurals import counted
from tasks.kinds import TaskKind
from tasks.spec import PreprocessingSection

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class FeatureKind(StrEnum):
    """How a column is given to the model."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column that a model takes."""

    name: str
    kind: FeatureKind


def features_in(preprocessing: PreprocessingSection) -> tuple[Feature, ...]:
    """The features of a spec, numeric first: the order of the model's signature."""
    numeric = preprocessing.numeric.columns if preprocessing.numeric else ()
    categorical = preprocessing.categorical.columns if preprocessing.categorical else ()
    return (
        *(Feature(name, FeatureKind.NUMERIC) for name in numeric),
        *(Feature(name, FeatureKind.CATEGORICAL) for name in categorical),
    )


def select_features(frame: "pd.DataFrame", features: Sequence[Feature]) -> "pd.DataFrame":
    """The feature columns of `frame` in the form that models take, in the order of `features`; a new frame.

    Numbers, booleans and text that reads as a number become float64. Categories become text: whole numbers without a
    decimal point, booleans as `true` and `false`. Raises `BadData` that names the columns that are missing or cannot be
    read, with an example.
    """
    import pandas as pd

    if absent := [feature.name for feature in features if feature.name not in frame.columns]:
        raise BadData(f"the rows lack the features {', '.join(absent)}: they must be in the data that the model scores")
    columns = {feature.name: _as_feature(frame[feature.name], feature.kind) for feature in features}
    return pd.DataFrame(columns, index=frame.index)


def target_values(frame: "pd.DataFrame", target: str, task: TaskKind) -> "np.ndarray[Any, Any]":
    """What is to be predicted: float64 for a regression; booleans, whole numbers or text as they are for classes.

    Raises `BadData` for a missing column or value and for a kind of value that is neither.
    """
    import pandas as pd

    if target not in frame.columns:
        raise BadData(f"the rows lack the target {target!r}: check data.target")
    column = frame[target]
    if missing := int(column.isna().sum()):
        raise BadData(f"target {target!r} is empty in {missing:,} of {counted(len(column), 'row')}: leave these out")
    if task is TaskKind.REGRESSION:
        return _numbers(column).to_numpy()
    plain = column.infer_objects() if column.dtype == object else column
    if pd.api.types.is_bool_dtype(plain) and not isinstance(plain.dtype, pd.CategoricalDtype):
        return plain.to_numpy(dtype=bool)
    if _is_whole(plain):
        return plain.to_numpy(dtype="int64")
    return _texts(column).to_numpy(dtype=object).astype(str)


def _as_feature(column: "pd.Series[Any]", kind: FeatureKind) -> "pd.Series[Any]":
    return _numbers(column) if kind is FeatureKind.NUMERIC else _texts(column)


def _numbers(column: "pd.Series[Any]") -> "pd.Series[float]":
    import numpy as np
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise BadData(f"column {column.name!r} holds times, not numbers: derive a number from it at the source")
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    try:
        numbers = pd.to_numeric(column).astype("float64")
    except (ValueError, TypeError) as error:
        reason = _shorter(str(error))
        raise BadData(
            f"column {column.name!r} must hold numbers ({reason}): make it categorical, or clean it"
        ) from error
    if infinite := int(np.isinf(numbers).sum()):
        raise BadData(
            f"column {column.name!r} is infinite in {counted(infinite, 'row')}, which JSON cannot say: clean it"
        )
    return numbers


def _texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Text as objects with None for missing; each distinct value is written once, for there are few."""
    import pandas as pd

    codes, distinct = pd.factorize(column)
    words = pd.Series([*_written(distinct), None], dtype=object)
    return pd.Series(words.to_numpy()[codes], index=column.index, dtype=object, name=column.name)


def _written(values: Iterable[Any]) -> list[str]:
    return [as_category(value) for value in values]


def as_category(value: Any) -> str:
    """The text of one category, the same as JSON would write it: `true`, `7` (also for 7.0), `7.5`, text as it is.

    A decimal number counts by its value: 1.50 is `1.5`, for no client can say otherwise.
    """
    if isinstance(value, str):
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _is_whole(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    if pd.api.types.is_integer_dtype(column):
        return True
    return bool(pd.api.types.is_float_dtype(column) and (column % 1 == 0).all())


def _shorter(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."
