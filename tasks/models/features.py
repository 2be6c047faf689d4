"""Columns as a model takes them in: numbers as float64, categories as text, missing as NaN and None.

Training, evaluation and serving agree on this form; the server builds the same from JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from deployments.columns import USUAL, Categories, Held, Meaning, is_number, number_in, text_of
from deployments.errors import BadData
from deployments.plurals import counted
from tasks.problem_types import TaskKind
from tasks.product_spec import DataSection, PreprocessingSection
from tasks.spec_columns import meaning_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class FeatureKind(StrEnum):
    """How a column is given to the model."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column that a model takes, and how its values are read."""

    name: str
    kind: FeatureKind
    meaning: Meaning = USUAL


# The categories that training saw, by column.
Known = Mapping[str, frozenset[str]]
_NONE_KNOWN: Known = {}
_KINDS_HELD = {
    "boolean": Held.BOOLEAN,
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), Held.NUMBER),
    **dict.fromkeys(("datetime64", "datetime", "date"), Held.TIME),
}


def features_in(preprocessing: PreprocessingSection, data: DataSection | None = None) -> tuple[Feature, ...]:
    """The features of a spec, numeric first: the order of the model's signature; with what `data` says of them."""
    numeric = preprocessing.numeric.columns if preprocessing.numeric else ()
    categorical = preprocessing.categorical.columns if preprocessing.categorical else ()
    kinds = dict.fromkeys(numeric, FeatureKind.NUMERIC) | dict.fromkeys(categorical, FeatureKind.CATEGORICAL)
    return tuple(Feature(name, kind, meaning_of(name, data) if data else USUAL) for name, kind in kinds.items())


def as_held(features: Sequence[Feature], frame: "pd.DataFrame") -> tuple[Feature, ...]:
    """The same features, with what their columns hold in `frame`, which is all that training may see."""
    return tuple(
        replace(each, meaning=_with_held(each.meaning, frame[each.name])) if each.name in frame.columns else each
        for each in features
    )


def select_features(frame: "pd.DataFrame", features: Sequence[Feature], known: Known = _NONE_KNOWN) -> "pd.DataFrame":
    """The feature columns of `frame` in the form that models take, in the order of `features`; a new frame.

    Numbers, booleans and text that reads as a number become float64. Categories become text: whole numbers without a
    decimal point, booleans as `true` and `false`, and what is one of the `known` ones by its meaning becomes that one,
    as the server has it. Raises `BadData` that names the columns that are missing or cannot be read, with an example.
    """
    import pandas as pd

    if absent := [feature.name for feature in features if feature.name not in frame.columns]:
        raise BadData(f"the rows lack the features {', '.join(absent)}: they must be in the data that the model scores")
    columns = {each.name: _as_feature(frame[each.name], each, known.get(each.name)) for each in features}
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
    return _texts(column, Meaning(nulls=frozenset()), None).to_numpy(dtype=object).astype(str)


def _as_feature(column: "pd.Series[Any]", feature: Feature, known: frozenset[str] | None) -> "pd.Series[Any]":
    if feature.kind is FeatureKind.NUMERIC:
        return _numbers(column, feature.meaning)
    return _texts(column, feature.meaning, known)


def _with_held(meaning: Meaning, column: "pd.Series[Any]") -> Meaning:
    from pandas.api import types

    held = _KINDS_HELD.get(types.infer_dtype(column, skipna=True), Held.TEXT)
    # Nullable floats of pandas are no floats of numpy, which alone have a size.
    bits = 8 * int(getattr(column.dtype, "itemsize", 8)) if types.is_float_dtype(column.dtype) else meaning.bits
    return replace(meaning, held=held, bits=min(bits, meaning.bits))


def _numbers(column: "pd.Series[Any]", meaning: Meaning = USUAL) -> "pd.Series[float]":
    import numpy as np
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise BadData(f"column {column.name!r} holds times, not numbers: derive a number from it at the source")
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    try:
        numbers = _read(column, meaning) if _holds_text(column) else pd.to_numeric(column).astype("float64")
    except (ValueError, TypeError) as error:
        reason = _shorter(str(error))
        raise BadData(
            f"column {column.name!r} must hold numbers ({reason}): make it categorical, or clean it"
        ) from error
    if infinite := int(np.isinf(numbers).sum()):
        raise BadData(
            f"column {column.name!r} is infinite in {counted(infinite, 'row')}, which JSON cannot say: clean it"
        )
    return pd.Series(meaning.as_held(numbers.to_numpy()), index=column.index, name=column.name)


def _holds_text(column: "pd.Series[Any]") -> bool:
    from pandas.api import types

    return types.infer_dtype(column, skipna=True) in {"string", "mixed", "mixed-integer"}


def _read(column: "pd.Series[Any]", meaning: Meaning) -> "pd.Series[float]":
    """The numbers that texts are; each distinct one is read once."""
    import numpy as np
    import pandas as pd

    codes, distinct = pd.factorize(column)
    numbers = np.array([*(_number_of(value, meaning) for value in distinct), np.nan], dtype=np.float64)
    return pd.Series(numbers[codes], index=column.index, name=column.name)


def _number_of(value: Any, meaning: Meaning) -> float:
    if not isinstance(value, str):
        return float(value)
    try:
        return number_in(value, meaning)
    except ValueError:
        comma = meaning.decimal == "." and is_number(value, replace(meaning, decimal=","))
        hint = ": data.columns can say decimal: ','" if comma else ""
        raise ValueError(f"such as {value!r}{hint}") from None


def _texts(column: "pd.Series[Any]", meaning: Meaning, known: frozenset[str] | None) -> "pd.Series[Any]":
    """Text as objects with None for missing; each distinct value is written once, for there are few."""
    import pandas as pd
    from pandas.api import types

    codes, distinct = pd.factorize(column)
    # Of floats an index hands out those of 64 bits, whatever it holds.
    each = distinct.to_numpy() if types.is_float_dtype(distinct.dtype) else distinct
    values = [_plain_value(value) for value in each]
    if known is None:
        words = [None if value == "" and "" in meaning.nulls else as_category(value) for value in values]
    else:
        words = [*map(Categories(known, meaning).of, values)]
    written = pd.Series([*words, None], dtype=object)
    return pd.Series(written.to_numpy()[codes], index=column.index, dtype=object, name=column.name)


def _plain_value(value: Any) -> Any:
    """Python's own value; a float of fewer bits as a person would write it: 0.1."""
    import numpy as np

    if isinstance(value, np.floating) and value.dtype.itemsize < 8:
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def as_category(value: Any) -> str:
    """The text of one category, the same as JSON would write it: `true`, `7` (also for 7.0), `7.5`, text as it is.

    A decimal number counts by its value: 1.50 is `1.5`, for no client can say otherwise.
    """
    return text_of(_plain_value(value))


def _is_whole(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    if pd.api.types.is_integer_dtype(column):
        return True
    return bool(pd.api.types.is_float_dtype(column) and (column % 1 == 0).all())


def _shorter(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."
