from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from deployments.trusted_types import DEFAULT_TRUSTED_TYPES
from tasks.models.features import features_in, select_features
from tasks.models.pipeline import build_pipeline
from tasks.product_spec import PreprocessingSection
from tests.unit.tasks.models.real_mlflow import rows

NUMERIC = {"columns": ["hour", "wind"]}
CATEGORICAL = {"columns": ["carrier", "stops"]}


def preprocessing(numeric: dict[str, Any] | None = None, categorical: dict[str, Any] | None = None) -> Any:
    document = {"numeric": NUMERIC | (numeric or {}), "categorical": CATEGORICAL | (categorical or {})}
    return PreprocessingSection.model_validate(document, strict=False)


def fitted(section: PreprocessingSection, estimator: Any = None) -> tuple[Any, pd.DataFrame]:
    frame = rows()
    features = select_features(frame, features_in(section))
    estimator = LogisticRegression() if estimator is None else estimator
    return build_pipeline(section, estimator).fit(features, frame["late"]), features


def features_of(pipeline: Any, frame: pd.DataFrame) -> Any:
    made = pipeline["features"].transform(frame)
    return made.toarray() if hasattr(made, "toarray") else made


ENCODINGS = [{"encode": "one_hot"}, {"encode": "one_hot", "min_frequency": 150}, {"encode": "ordinal"}]


@pytest.mark.parametrize("categorical", ENCODINGS, ids=str)
@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), RandomForestClassifier(3), HistGradientBoostingClassifier(max_iter=3)], ids=str
)
def test_every_stored_model_needs_only_the_types_that_are_trusted_by_default(
    categorical: dict[str, Any], estimator: Any
) -> None:
    pipeline, _ = fitted(preprocessing(categorical=categorical), estimator)

    assert set(skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))) <= set(DEFAULT_TRUSTED_TYPES)


@pytest.mark.parametrize("categorical", ENCODINGS, ids=str)
def test_missing_categories_mean_the_same_however_a_frame_says_it(categorical: dict[str, Any]) -> None:
    pipeline, frame = fitted(preprocessing(categorical=categorical))
    missing = frame[frame["carrier"].isna()]
    assert len(missing) > 50

    as_nan = missing.assign(carrier=pd.Series(np.nan, index=missing.index, dtype=object))
    as_text = missing.assign(carrier=missing["carrier"].astype("str").where(missing["carrier"].notna()))
    assert as_text["carrier"].dtype == "str"

    expected = pipeline.predict_proba(missing)
    assert np.array_equal(pipeline.predict_proba(as_nan), expected)
    assert np.array_equal(pipeline.predict_proba(as_text), expected)


def test_a_missing_category_has_a_column_of_its_own() -> None:
    pipeline, _ = fitted(preprocessing())

    names = pipeline["features"].named_transformers_["categorical"]["encode"].get_feature_names_out().tolist()

    assert names == ["x0_(missing)", "x0_AA", "x0_UA", "x1_0", "x1_1", "x1_2"]


def test_an_unseen_category_is_no_column_or_the_rare_one_or_minus_one() -> None:
    unseen = pd.DataFrame({"hour": [1.0], "wind": [1.0], "carrier": ["??"], "stops": ["0"]})

    plain, _ = fitted(preprocessing())
    assert features_of(plain, unseen)[0, 2:].tolist() == [0, 0, 0, 1, 0, 0]
    rare, _ = fitted(preprocessing(categorical={"min_frequency": int(rows()["carrier"].value_counts().max())}))
    names = rare["features"].named_transformers_["categorical"]["encode"].get_feature_names_out().tolist()
    assert features_of(rare, unseen)[0, 2 + names.index("x0_infrequent_sklearn")] == 1
    ordinal, _ = fitted(preprocessing(categorical={"encode": "ordinal"}))
    assert features_of(ordinal, unseen)[0, 2] == -1


def test_numbers_are_imputed_and_scaled_with_what_training_saw() -> None:
    pipeline, frame = fitted(preprocessing())
    one = frame[:1].assign(wind=np.nan, hour=frame["hour"].mean())

    made = features_of(pipeline, one)

    scaled = (frame["wind"].median() - frame["wind"].fillna(frame["wind"].median()).mean()) / frame["wind"].fillna(
        frame["wind"].median()
    ).std(ddof=0)
    assert made[0, :2] == pytest.approx([0.0, scaled])


@pytest.mark.parametrize(("impute", "expected"), [("zero", 0.0), ("mean", None), ("none", np.nan)])
def test_each_way_to_impute_does_what_its_name_says(impute: str, expected: float | None) -> None:
    section = preprocessing(numeric={"impute": impute, "scale": "none"})
    pipeline, frame = fitted(section, HistGradientBoostingClassifier(max_iter=3))

    made = features_of(pipeline, frame[:1].assign(wind=np.nan))[0, 1]

    assert made == pytest.approx(frame["wind"].mean() if expected is None else expected, nan_ok=True)


def test_a_column_without_any_number_is_kept() -> None:
    section = preprocessing()
    frame = select_features(rows().assign(wind=np.nan), features_in(section))

    pipeline = build_pipeline(section, LogisticRegression()).fit(frame, rows()["late"])

    assert features_of(pipeline, frame).shape[1] == 8


def test_features_are_sparse_only_where_the_estimator_takes_them() -> None:
    wide = {"columns": ["carrier", "stops"], "encode": "one_hot"}
    frame = rows().assign(carrier=[f"carrier {index % 40}" for index in range(400)])
    section = preprocessing(categorical=wide)
    features = select_features(frame, features_in(section))

    for estimator, sparse in ((LogisticRegression(), True), (HistGradientBoostingClassifier(max_iter=3), False)):
        pipeline = build_pipeline(section, estimator).fit(features, frame["late"])
        assert hasattr(pipeline["features"].transform(features), "toarray") is sparse


def test_one_kind_of_column_is_enough() -> None:
    section = PreprocessingSection.model_validate(
        {"numeric": NUMERIC | {"impute": "none", "scale": "none"}}, strict=False
    )
    pipeline, frame = fitted(section, HistGradientBoostingClassifier(max_iter=3))

    assert features_of(pipeline, frame).shape == (400, 2)
