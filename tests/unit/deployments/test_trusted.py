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
from deployments.trusted import DEFAULT_TRUSTED_TYPES, load_model, untrusted_types

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
    import zipfile

    path = stored(tmp_path, OrderedDict(a=1))
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    schema["content"] = {"unexpected": True}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))

    with pytest.raises(BadArtifact, match="cannot be loaded"):
        load_model(path, DEFAULT_TRUSTED_TYPES)
