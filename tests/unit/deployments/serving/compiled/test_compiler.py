import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import ensemble, linear_model, tree
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler, TargetEncoder
from threadpoolctl import threadpool_limits

from deployments.serving.compiled.compiled_model import Quick, Unusual
from deployments.serving.compiled.compiler import are_equal, prepare
from deployments.serving.compiled.decision_trees import compile_trees
from deployments.serving.compiled.feature_matrix import compile_features
from deployments.serving.compiled.merged_trees import is_worthwhile
from deployments.serving.row_batch import Batch
from tasks.models.pipeline import build_pipeline
from tasks.product_spec import Encode, Impute, Scale
from tests.unit.deployments.serving.compiled.fitted import (
    CATEGORICAL,
    KNOWN,
    NUMERIC,
    batch_of,
    features_of,
    fit,
    fit_to,
    preprocessing,
)

ALL = features_of()
NUMBERS = features_of(categorical=False)
SIZES = (1, 2, 5, 33, 257)

PREPROCESSING = {
    "one hot": preprocessing({}, {}),
    "rare together": preprocessing({"impute": Impute.MEAN}, {"min_frequency": 12}),
    "ordinal": preprocessing({"impute": Impute.ZERO}, {"encode": Encode.ORDINAL}),
    "ordinal, unscaled": preprocessing({"scale": Scale.NONE}, {"encode": Encode.ORDINAL, "min_frequency": 12}),
    "with missing": preprocessing({"impute": Impute.NONE}, {"encode": Encode.ORDINAL}),
    "as they are": preprocessing({"impute": Impute.NONE, "scale": Scale.NONE}, {}),
    "numbers": preprocessing({}),
    "categories": preprocessing(None, {}),
}
TAKE_MISSING = {"with missing", "as they are"}


def boosting_of(leaves: int, min_samples_leaf: int = 1) -> Any:
    """Deep enough that its trees really have so many leaves."""
    return ensemble.HistGradientBoostingRegressor(
        max_iter=5, max_leaf_nodes=leaves, min_samples_leaf=min_samples_leaf, learning_rate=0.5
    )


FEW = {"n_estimators": 12, "random_state": 0}
ESTIMATORS: dict[str, tuple[Any, str, str]] = {
    "logistic": (linear_model.LogisticRegression(), "two", "linear"),
    "multinomial": (linear_model.LogisticRegression(), "three", "linear"),
    "ridge classes": (linear_model.RidgeClassifier(), "text", "linear"),
    "least squares": (linear_model.LinearRegression(), "number", "linear"),
    "ridge": (linear_model.Ridge(), "number", "linear"),
    "lasso": (linear_model.Lasso(alpha=0.01), "number", "linear"),
    "tree": (tree.DecisionTreeClassifier(random_state=0), "three", "trees"),
    "regression tree": (tree.DecisionTreeRegressor(random_state=0), "number", "trees"),
    "forest": (ensemble.RandomForestClassifier(**FEW), "text", "trees"),
    "regression forest": (ensemble.RandomForestRegressor(**FEW), "number", "trees"),
    "extra trees": (ensemble.ExtraTreesClassifier(**FEW), "three", "trees"),
    "histograms": (ensemble.HistGradientBoostingClassifier(max_iter=15), "two", "boosting"),
    "histograms of three": (ensemble.HistGradientBoostingClassifier(max_iter=15), "three", "boosting"),
    "histograms of 6 leaves": (
        ensemble.HistGradientBoostingClassifier(max_iter=9, max_leaf_nodes=6),
        "two",
        "boosting",
    ),
    "histograms of 16 leaves": (boosting_of(16), "number", "boosting"),
    "histograms of 60 leaves": (boosting_of(60), "number", "boosting"),
    "histograms of 90 leaves": (boosting_of(90), "number", "boosting"),
    "histograms of 1 leaf": (boosting_of(2, min_samples_leaf=1_000), "number", "boosting"),
    "poisson": (ensemble.HistGradientBoostingRegressor(max_iter=15, loss="poisson"), "number", "boosting"),
    "gradient": (ensemble.GradientBoostingClassifier(**FEW), "two", "boosting"),
    "gradient of three": (ensemble.GradientBoostingClassifier(**FEW), "three", "boosting"),
    "regression gradient": (ensemble.GradientBoostingRegressor(**FEW), "number", "boosting"),
    "odds": (linear_model.SGDClassifier(loss="log_loss", random_state=0), "two", "arrays"),
    "poisson line": (linear_model.PoissonRegressor(), "number", "arrays"),
    "ada": (ensemble.AdaBoostClassifier(**FEW), "two", "arrays"),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def as_quiet_as_the_server() -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def outcome(method: Any, rows: Any) -> Any:
    """What is answered, to the bit; None for a refusal."""
    try:
        answers = np.asarray(method(rows))
    except (ValueError, Unusual):
        return None
    return answers.dtype, answers.shape, answers.tolist() if answers.dtype.hasobject else answers.tobytes()


def assert_same(quick: Quick, estimator: Any, batch: Batch, features: Any = ALL) -> bool:
    """Whether quick answered; if so, it did as the estimator does."""
    names = ["predict", *(["predict_proba"] if hasattr(estimator, "predict_proba") else [])]
    outcomes = [outcome(getattr(quick, name), batch) for name in names]
    for name, found in zip(names, outcomes, strict=True):
        if found is not None:
            assert found == outcome(getattr(estimator, name), batch.frame(features))
    return None not in outcomes


PAIRS = sorted(
    {(columns, name) for columns in ("one hot", "ordinal") for name in ESTIMATORS}
    | {(columns, name) for columns in PREPROCESSING for name in ("forest", "histograms")}
    | {(columns, name) for columns in set(PREPROCESSING) - TAKE_MISSING for name in ("logistic", "least squares")}
)


@pytest.mark.parametrize(("columns", "name"), PAIRS)
def test_a_compiled_model_answers_with_the_same_bits(columns: str, name: str) -> None:
    estimator, target, how = ESTIMATORS[name]
    section = PREPROCESSING[columns]
    features = features_of(section.numeric is not None, section.categorical is not None)
    fitted = fit(section, estimator, target)
    quick = prepare(fitted, features, None)
    assert quick is not None
    assert quick.how == how
    for seed, rows in enumerate(SIZES, start=1):
        batch = batch_of(seed, rows, missing=0.2, unseen=0.2)
        numbers = batch.numbers if section.numeric else np.empty((rows, 0))
        batch = Batch(rows, numbers, batch.categories if section.categorical else ())
        assert assert_same(quick, fitted, batch, features)


def numeric_only(name: str) -> Any:
    forest = ensemble.RandomForestRegressor(**FEW)
    boosting = ensemble.HistGradientBoostingRegressor(max_iter=15, categorical_features=[1])
    return {
        "bare forest": forest,
        "bare boosting": ensemble.HistGradientBoostingRegressor(max_iter=15),
        "with categories of its own": boosting,
        "scaled line": make_pipeline(StandardScaler(), linear_model.LinearRegression()),
        "imputed forest": make_pipeline(SimpleImputer(), forest),
        "imputed with a mark": make_pipeline(SimpleImputer(add_indicator=True), forest),
        "between 0 and 1": make_pipeline(MinMaxScaler(), linear_model.Ridge()),
        "rotated": make_pipeline(SimpleImputer(), StandardScaler(), PCA(2), linear_model.LinearRegression()),
        "without centre": make_pipeline(StandardScaler(with_mean=False), forest),
        "a pipeline in another": make_pipeline(make_pipeline(SimpleImputer(), StandardScaler()), linear_model.Ridge()),
    }[name]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("bare forest", "trees"),
        ("bare boosting", "boosting"),
        ("with categories of its own", "arrays"),
        ("scaled line", "linear"),
        ("imputed forest", "trees"),
        ("imputed with a mark", "trees"),
        ("between 0 and 1", "linear"),
        ("rotated", "linear"),
        ("without centre", "trees"),
        ("a pipeline in another", "linear"),
    ],
)
def test_numbers_need_no_column_transformer(name: str, how: str) -> None:
    missing = 0.0 if name in {"scaled line", "between 0 and 1"} else 0.1
    fitted = fit_to(numeric_only(name), "number", missing, categorical=False)
    quick = prepare(fitted, NUMBERS, batch_of(7, 20, missing, categorical=False))
    assert quick is not None
    assert quick.how == how
    for rows in SIZES:
        assert assert_same(quick, fitted, batch_of(rows, rows, missing, categorical=False), NUMBERS)


@pytest.fixture(scope="module")
def fitted_ones() -> dict[str, tuple[Any, Quick]]:
    columns = {"logistic": "one hot", "multinomial": "ordinal", "forest": "as they are", "histograms": "as they are"}
    columns |= {"regression gradient": "rare together"}
    fitted = {name: fit(PREPROCESSING[section], *ESTIMATORS[name][:2]) for name, section in columns.items()}
    compiled = {name: (estimator, prepare(estimator, ALL, batch_of(5, 30))) for name, estimator in fitted.items()}
    return {name: (estimator, quick) for name, (estimator, quick) in compiled.items() if quick is not None}


numbers = st.one_of(st.floats(width=64), st.floats(-3000, 3000), st.integers(-50, 3000).map(float))
texts = [st.one_of(st.sampled_from([*known, None]), st.text(max_size=3)) for known in KNOWN]
rows = st.lists(st.tuples(*[numbers] * len(NUMERIC), *texts), min_size=1, max_size=4)


@pytest.mark.parametrize("name", ["logistic", "multinomial", "forest", "histograms", "regression gradient"])
@settings(max_examples=40, deadline=None)
@given(rows=rows)
def test_whatever_the_rows_hold_it_answers_the_same_or_leaves_them_to_the_estimator(
    fitted_ones: dict[str, tuple[Any, Quick]], name: str, rows: list[tuple[Any, ...]]
) -> None:
    estimator, quick = fitted_ones[name]
    columns = list(zip(*rows, strict=True))
    values = np.array(columns[: len(NUMERIC)], dtype=np.float64).T
    assert_same(quick, estimator, Batch(len(rows), np.ascontiguousarray(values), tuple(columns[len(NUMERIC) :])))


@pytest.mark.parametrize("name", ["logistic", "forest", "regression gradient"])
@pytest.mark.parametrize("number", [1e308, -1e308, np.inf])
def test_a_number_that_the_estimator_refuses_gets_no_answer(
    fitted_ones: dict[str, tuple[Any, Quick]], name: str, number: float
) -> None:
    estimator, quick = fitted_ones[name]
    batch = batch_of(3, 2)
    batch.numbers[1, 0] = number
    if outcome(estimator.predict, batch.frame(ALL)) is None:
        with pytest.raises(Unusual):
            quick.predict(batch)
    else:
        assert assert_same(quick, estimator, batch)


def test_the_refusals_above_are_real(fitted_ones: dict[str, tuple[Any, Quick]]) -> None:
    batch = batch_of(3, 2)
    batch.numbers[1, 0] = 1e308
    refusing = [name for name, (each, _) in fitted_ones.items() if outcome(each.predict, batch.frame(ALL)) is None]
    assert {"forest", "regression gradient"} <= set(refusing)


def test_a_missing_number_gets_no_answer_of_a_model_that_takes_none() -> None:
    section = preprocessing({"impute": Impute.NONE}, {})
    pipeline = fit_to(build_pipeline(section, linear_model.LogisticRegression()), "two", missing=0.0)
    quick = prepare(pipeline, ALL, None)
    assert quick is not None
    assert assert_same(quick, pipeline, batch_of(1, 3, missing=0.0))
    missing = batch_of(1, 3, missing=0.0)
    missing.numbers[0, 0] = np.nan
    with pytest.raises(Unusual):
        quick.predict_proba(missing) if quick.predict_proba else None


def test_categories_that_the_encoder_refuses_get_no_answer() -> None:
    encoded = ColumnTransformer(
        [("categories", OneHotEncoder(), list(CATEGORICAL)), ("numbers", "passthrough", list(NUMERIC))]
    )
    pipeline = fit_to(make_pipeline(encoded, tree.DecisionTreeClassifier(random_state=0)), "two", missing=0.0)
    quick = prepare(pipeline, ALL, None)
    assert quick is not None
    assert assert_same(quick, pipeline, batch_of(1, 9, 0.0, 0.0))
    for missing, unseen in ((1.0, 0.0), (0.0, 1.0)):
        batch = batch_of(1, 9, missing, unseen)
        assert outcome(pipeline.predict, batch.frame(ALL)) is None
        with pytest.raises(Unusual):
            quick.predict(batch)


def test_trees_have_as_many_leaves_as_these_tests_say() -> None:
    for most in (16, 60, 90):
        fitted = fit(PREPROCESSING["one hot"], boosting_of(most), "number")
        leaves = [tree.get_n_leaf_nodes() for [tree] in fitted[-1]._predictors]
        assert most - 8 < max(leaves) <= most


def test_targets_that_spread_over_several_columns_are_tabulated() -> None:
    encoder = make_pipeline(SimpleImputer(strategy="constant", fill_value="", missing_values=None), TargetEncoder(cv=2))
    encoded = ColumnTransformer([("categories", encoder, list(CATEGORICAL))])
    pipeline = fit_to(make_pipeline(encoded, linear_model.LogisticRegression()), "three", missing=0.0)
    quick = prepare(pipeline, ALL, None)
    assert quick is not None
    assert assert_same(quick, pipeline, batch_of(1, 50))


class TestTheProof:
    """What does not answer as the frame path does is not used."""

    def test_an_estimator_that_answers_otherwise_than_its_class_is_asked_itself(self) -> None:
        pipeline = fit(PREPROCESSING["one hot"], linear_model.LogisticRegression(), "two")
        model = pipeline[-1]
        usual = model.predict_proba
        model.predict_proba = lambda matrix: np.nextafter(usual(matrix), 1.0)
        quick = prepare(pipeline, ALL, None)
        assert quick is not None
        assert quick.how == "arrays"
        assert assert_same(quick, pipeline, batch_of(1, 20))

    def test_an_estimator_that_never_answers_the_same_is_not_compiled(self) -> None:
        pipeline = fit(PREPROCESSING["one hot"], linear_model.LinearRegression(), "number")
        chance = np.random.default_rng(0)
        usual = pipeline[-1].predict
        pipeline[-1].predict = lambda matrix: usual(matrix) + chance.random()
        assert prepare(pipeline, ALL, None) is None

    def test_a_transformer_that_does_otherwise_than_its_class_is_found_out(self) -> None:
        pipeline = fit(PREPROCESSING["one hot"], linear_model.LinearRegression(), "number")
        scaler = pipeline[0].named_transformers_["numeric"][-1]
        usual = scaler.transform
        scaler.transform = lambda matrix: np.nextafter(usual(matrix), np.inf)
        assert prepare(pipeline, ALL, None) is None

    @pytest.mark.parametrize("name", ["logistic", "forest", "histograms"])
    def test_one_bit_in_one_row_of_many_is_too_much(self, fitted_ones: dict[str, tuple[Any, Quick]], name: str) -> None:
        estimator, quick = fitted_ones[name]
        batches = [batch_of(1, 2), batch_of(2, 100)]

        def tampered(batch: Batch) -> np.ndarray:
            answers = quick.predict_proba(batch) if quick.predict_proba else np.empty(0)
            answers[-1, 0] = np.nextafter(answers[-1, 0], 2.0) if batch.rows == 100 else answers[-1, 0]
            return answers

        assert are_equal([quick], estimator, ALL, batches)
        assert not are_equal([Quick(quick.how, quick.predict, tampered)], estimator, ALL, batches)
        assert not are_equal([quick, Quick(quick.how, quick.predict, tampered)], estimator, ALL, batches)

    def test_an_answer_where_the_estimator_refuses_is_too_much(self, fitted_ones: dict[str, tuple[Any, Quick]]) -> None:
        estimator, _ = fitted_ones["regression gradient"]
        refused = batch_of(1, 2)
        refused.numbers[0, 0] = np.inf
        bold = Quick("bold", lambda batch: np.zeros(batch.rows), None)
        shy = Quick("shy", lambda _: _refuse(), None)
        assert not are_equal([bold], estimator, ALL, [refused])
        assert are_equal([shy], estimator, ALL, [refused])
        assert not are_equal([shy], estimator, ALL, [batch_of(1, 2)])

    def test_classes_of_another_type_are_too_much(self, fitted_ones: dict[str, tuple[Any, Quick]]) -> None:
        estimator, quick = fitted_ones["multinomial"]
        wider = Quick("wider", lambda batch: quick.predict(batch).astype(np.float64), None)
        assert not are_equal([wider], estimator, ALL, [batch_of(1, 9)])

    def test_a_scikit_learn_without_the_private_parts_leaves_the_estimator_its_own_methods(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pipeline = fit(PREPROCESSING["one hot"], ESTIMATORS["forest"][0], "text")
        monkeypatch.delattr("sklearn.tree._tree.Tree")
        quick = prepare(pipeline, ALL, None)
        assert quick is not None
        assert quick.how == "arrays"

    @pytest.mark.parametrize(
        "estimator",
        [
            make_pipeline(FunctionTransformer(lambda frame: frame[[*NUMERIC]].fillna(0.0)), linear_model.Ridge()),
            Pipeline([("same", "passthrough"), ("model", ensemble.HistGradientBoostingRegressor(max_iter=3))]),
        ],
        ids=["of frames", "of mixed columns"],
    )
    def test_what_nobody_can_compile_is_left_alone(self, estimator: Any) -> None:
        frame = batch_of(0, 40).frame(ALL)
        if len(estimator.steps) == 2 and estimator.steps[0][1] == "passthrough":
            frame = frame.astype(dict.fromkeys(CATEGORICAL, "category"))
        estimator.fit(frame, np.arange(40.0))
        assert prepare(estimator, ALL, None) is None

    def test_a_model_around_the_pipeline_is_left_alone(self) -> None:
        inner = build_pipeline(PREPROCESSING["one hot"], GaussianNB())
        assert prepare(fit_to(CalibratedClassifierCV(inner, cv=2), "two", missing=0.1), ALL, None) is None


def _refuse() -> np.ndarray:
    raise Unusual


def test_a_tree_of_many_classes_is_compiled_without_a_copy_of_what_its_nodes_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deployments.serving.compiled.decision_trees.MOST_VALUES", 10_000)
    classes = 200
    rows = np.random.default_rng(7).normal(size=(classes, 3))
    fitted = tree.DecisionTreeClassifier(random_state=0).fit(rows, np.arange(classes))
    features = compile_features([], features_of(categorical=False))
    tracemalloc.start()
    try:
        trees = compile_trees(fitted, features)
        assert tracemalloc.get_traced_memory()[1] < fitted.tree_.value.nbytes / 4
    finally:
        tracemalloc.stop()
    assert trees.variants()


def test_what_all_trees_say_of_many_classes_is_not_in_memory_at_once() -> None:
    few, many = np.zeros((1, 3), np.float32), np.zeros((300, 3), np.float32)
    assert is_worthwhile(many, trees=100, values=2)
    assert is_worthwhile(few, trees=100, values=4_000)
    assert not is_worthwhile(many, trees=100, values=4_000)
