"""Preprocessing and estimator as one model: raw columns in, predictions out.

Only scikit-learn's own classes are used, so that a stored model needs none of our code to load.
"""

from typing import Any, Final

from tasks.product_spec import CategoricalColumns, Encode, Impute, NumericColumns, PreprocessingSection, Scale

MISSING: Final = "(missing)"
_UNSEEN: Final = -1


def build_pipeline(preprocessing: PreprocessingSection, estimator: Any) -> Any:
    """An unfitted scikit-learn Pipeline over the frames of `select_features`.

    One-hot: a missing category has a column of its own if training saw one; an unseen one counts as rare if there are
    rare ones, else all its columns are 0. Ordinal: unseen is -1. Features are sparse where the estimator can take it.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    sparse = _takes_sparse(estimator)
    parts: list[tuple[str, Any, list[str]]] = []
    if preprocessing.numeric:
        parts.append(("numeric", _numeric(preprocessing.numeric), list(preprocessing.numeric.columns)))
    if preprocessing.categorical:
        categorical = _categorical(preprocessing.categorical, sparse)
        parts.append(("categorical", categorical, list(preprocessing.categorical.columns)))
    # One job: making features is not worth a cluster, whose every worker would be sent the rows.
    columns = ColumnTransformer(parts, sparse_threshold=0.3 if sparse else 0.0, n_jobs=1)
    return Pipeline([("features", columns), ("model", estimator)])


def _numeric(numeric: NumericColumns) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    steps: list[tuple[str, Any]] = []
    match numeric.impute:
        case Impute.MEDIAN | Impute.MEAN:
            steps.append(("impute", SimpleImputer(strategy=numeric.impute.value, keep_empty_features=True)))
        case Impute.ZERO:
            steps.append(("impute", SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)))
        case Impute.NONE:
            pass
    if numeric.scale is Scale.STANDARD:
        steps.append(("scale", StandardScaler()))
    return _chain(steps)


def _categorical(categorical: CategoricalColumns, sparse: bool) -> Any:
    from sklearn.impute import SimpleImputer

    # scikit-learn holds None and NaN for two categories; frames may carry either.
    return _chain(
        [
            ("nan", SimpleImputer(strategy="constant", fill_value=MISSING)),
            ("none", SimpleImputer(strategy="constant", fill_value=MISSING, missing_values=None)),
            ("encode", _encoder(categorical, sparse)),
        ]
    )


def _encoder(categorical: CategoricalColumns, sparse: bool) -> Any:
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    rare = categorical.min_frequency
    match categorical.encode:
        case Encode.ONE_HOT:
            unknown = "infrequent_if_exist" if rare else "ignore"
            return OneHotEncoder(handle_unknown=unknown, min_frequency=rare, sparse_output=sparse)
        case Encode.ORDINAL:
            return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=_UNSEEN, min_frequency=rare)


def _chain(steps: list[tuple[str, Any]]) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline(steps) if steps else "passthrough"


def _takes_sparse(estimator: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.sparse)
