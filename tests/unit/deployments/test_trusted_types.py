import functools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from deployments.errors import BadArtifact
from deployments.trusted_types import DEFAULT_TRUSTED_TYPES, load_model, refusal, untrusted_types
from tests.advice import followed

ROWS = np.random.default_rng(0).normal(size=(60, 2))
LABELS = (ROWS[:, 0] > 0).astype(int)


def outsider(rows: Any) -> Any:
    return rows


def stored(folder: Path, model: Any) -> Path:
    skops.io.dump(model, folder / "model.skops")
    return folder / "model.skops"


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        RandomForestClassifier(3),
        RandomForestRegressor(3),
        HistGradientBoostingClassifier(max_iter=3),
        HistGradientBoostingRegressor(max_iter=3),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_the_usual_estimators_load_with_the_default_list_and_answer_the_same(tmp_path: Path, estimator: Any) -> None:
    fitted = estimator.fit(ROWS, LABELS)

    loaded = load_model(stored(tmp_path, fitted), DEFAULT_TRUSTED_TYPES)

    assert np.array_equal(loaded.predict(ROWS), fitted.predict(ROWS))


def test_a_type_that_nobody_trusted_is_refused_by_name(tmp_path: Path) -> None:
    path = stored(tmp_path, FunctionTransformer(outsider))
    (stranger,) = untrusted_types(path)
    assert stranger.endswith("outsider")

    with pytest.raises(BadArtifact, match="outsider"):
        load_model(path, DEFAULT_TRUSTED_TYPES)
    assert isinstance(load_model(path, (*DEFAULT_TRUSTED_TYPES, stranger)), FunctionTransformer)


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_a_cut_file_is_a_bad_artifact(tmp_path: Path, cut: int) -> None:
    path = stored(tmp_path, LogisticRegression().fit(ROWS, LABELS))
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(BadArtifact, match="cannot be loaded"):
        load_model(path, DEFAULT_TRUSTED_TYPES)


def test_a_missing_file_is_a_bad_artifact(tmp_path: Path) -> None:
    with pytest.raises(BadArtifact, match="no model file"):
        load_model(tmp_path / "none.skops", DEFAULT_TRUSTED_TYPES)


def test_a_schema_that_breaks_while_loading_is_a_bad_artifact(tmp_path: Path) -> None:
    """The archive is whole and names trusted types only, but what it describes cannot be built."""
    import json

    path = stored(tmp_path, OrderedDict(a=1))
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    schema["content"] = {"unexpected": True}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))

    with pytest.raises(BadArtifact, match="cannot be loaded"):
        load_model(path, DEFAULT_TRUSTED_TYPES)


@pytest.mark.parametrize(
    "kind",
    [
        *("cProfile.run", "functools.partial", "builtins.eval", "builtins.getattr", "operator.methodcaller"),
        *("os.system", "posix.system", "subprocess.Popen", "importlib.import_module", "types.FunctionType"),
        *("timeit.timeit", "pdb.run", "runpy.run_path", "code.interact", "pickle.loads", "ctypes.CDLL"),
        *("joblib.load", "joblib.numpy_pickle.load", "cloudpickle.loads", "numpy.load", "numpy.f2py.compile"),
        *("pandas.read_pickle", "pandas.io.pickle.read_pickle", "pandas.eval", "sklearn.utils._testing.ignore"),
        *("deployments.trusted_types.load_model", "mlflow.pyfunc.load_model", "numpy.testing.rundocs"),
    ],
)
def test_what_can_be_made_to_run_any_code_is_trusted_for_nobody(kind: str) -> None:
    assert refusal(kind).startswith(f"{kind} can be made to run any code")


@pytest.mark.parametrize(
    "kind",
    [
        *DEFAULT_TRUSTED_TYPES,
        *("my_models.Halved", "numpy.linalg.norm", "collections.OrderedDict", "datetime.timedelta", "math.log"),
        *("builtins.slice", "pandas.DataFrame", "xgboost.sklearn.XGBClassifier", "numpy.loadtxt_like", "osmnx.Graph"),
    ],
)
def test_values_and_a_users_own_things_may_be_trusted(kind: str) -> None:
    assert refusal(kind) == ""


def test_a_partial_is_refused_although_its_types_are_trusted(tmp_path: Path) -> None:
    path = stored(tmp_path, FunctionTransformer(functools.partial(np.linalg.norm, axis=1)))
    with pytest.raises(BadArtifact, match=r"functools\.partial can be made to run any code.*kw_args"):
        load_model(path, (*DEFAULT_TRUSTED_TYPES, "functools.partial", "numpy.linalg.norm"))


def test_a_model_that_gives_its_arguments_by_kw_args_is_loaded(tmp_path: Path) -> None:
    told = refusal("functools.partial")
    assert followed(" can be made to run any code when a model is loaded or asked, and is trusted for nobody: ") in told
    path = stored(tmp_path, FunctionTransformer(np.linalg.norm, kw_args={"axis": 1}))
    assert load_model(path, (*DEFAULT_TRUSTED_TYPES, "numpy.linalg.norm")).transform(ROWS).shape == (60,)


def test_an_archive_that_is_there_to_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    path = stored(tmp_path, LogisticRegression().fit(ROWS, LABELS))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", bytes(100_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(BadArtifact, match=r"would take 1000\d{5} unpacked") as told:
        load_model(path, DEFAULT_TRUSTED_TYPES)
    assert followed(" unpacked, which no model that was trained here does: train it anew") in str(told.value)
    assert load_model(stored(tmp_path, LogisticRegression().fit(ROWS, LABELS)), DEFAULT_TRUSTED_TYPES)
