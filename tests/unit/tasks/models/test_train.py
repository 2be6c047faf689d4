"""Training against a real MLflow on SQLite: what is stored, what is recorded, what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.clock import ManualClock
from deployments.columns import Held, Meaning
from deployments.errors import BadData, BadModel, DiskFull, RegistryUnreachable
from deployments.model_manifest import check_intact
from deployments.process_identity import this_process
from deployments.registry import ModelRegistry
from deployments.registry.mlflow_client import connect
from deployments.registry.model_folder import MODEL_FILE, size_mb
from deployments.settings import Settings
from deployments.trusted_types import DEFAULT_TRUSTED_TYPES, load_model
from tasks.models import tracking
from tasks.models.features import Feature, FeatureKind, features_in, select_features
from tasks.models.mlmodel_metadata import read_card
from tasks.models.train import TrainedModel, spec_digest, train, version_facts
from tasks.product_spec import ProductSpec
from tests.unit.tasks.models.real_mlflow import data_facts, rows, settings_in, spec, split


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def trained(settings: Settings, product: ProductSpec | None = None, report: str | None = None) -> TrainedModel:
    return train(product or spec(), split(), data_facts(report), settings, ManualClock())


def folder_of(settings: Settings, model: TrainedModel) -> Path:
    registry = ModelRegistry(settings.mlflow_uri, settings.keys_folder)
    most = round(model.size_mb * 1e6)
    return registry.fetch_candidate(model.run_id, model.model_uri, model.manifest, settings.home / "candidates", most)


def run_of(settings: Settings) -> Any:
    """The only run of the product."""
    client = connect(settings.mlflow_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("punctual").experiment_id])
    return run


def factory(settings: Settings, name: str, body: str) -> str:
    (settings.project / f"{name}.py").write_text(body)
    return f"{name}.make"


@pytest.mark.parametrize(
    "product",
    [
        spec(),
        spec(output="prediction"),
        spec(target="status"),
        spec(target="status", output="prediction"),
        spec(target="stops", estimator="sklearn.ensemble.HistGradientBoostingClassifier", parameters={"max_iter": 3}),
        spec(task="regression", target="delay", output="prediction", estimator="sklearn.linear_model.Ridge"),
    ],
    ids=lambda product: f"{product.model.estimator.rpartition('.')[2]} {product.data.target} {product.model.output}",
)
def test_the_stored_model_gives_exactly_the_answers_that_a_server_must_give(
    settings: Settings, product: ProductSpec
) -> None:
    import pandas as pd

    folder = folder_of(settings, trained(settings, product))

    card = read_card(folder)
    sample = json.loads((folder / "verification.json").read_text())
    asked = sample["request"]["dataframe_split"]
    frame = select_features(pd.DataFrame(asked["data"], columns=asked["columns"]), card.features)
    model = load_model(folder / MODEL_FILE, DEFAULT_TRUSTED_TYPES)
    ask = model.predict_proba if product.model.output == "probability" else model.predict
    assert asked["columns"] == ["hour", "wind", "carrier", "stops"]
    assert len(asked["data"]) == len(sample["predictions"]) == 12
    assert sample["predictions"] == ask(frame).tolist()


def test_the_sample_is_spread_over_the_held_out_rows_and_has_gaps(settings: Settings) -> None:
    folder = folder_of(settings, trained(settings))

    data = json.loads((folder / "verification.json").read_text())["request"]["dataframe_split"]["data"]

    expected = select_features(split().evaluation.iloc[[index * 100 // 12 for index in range(12)]], features())
    assert [row[0] for row in data] == expected["hour"].tolist()
    assert any(None in row for row in data)


def test_the_card_says_what_the_server_must_know(settings: Settings) -> None:
    card = read_card(folder_of(settings, trained(settings, spec(target="status"))))

    assert (card.product, card.task, card.output) == ("punctual", "classification", "probability")
    assert card.classes == ("late", "on time", "very late")
    text = Meaning(held=Held.TEXT)
    number = Meaning(held=Held.NUMBER)
    assert card.features == (
        Feature("hour", FeatureKind.NUMERIC, number),
        Feature("wind", FeatureKind.NUMERIC, number),
        Feature("carrier", FeatureKind.CATEGORICAL, text),
        Feature("stops", FeatureKind.CATEGORICAL, number),
    )


def test_mlflow_itself_can_read_the_model_and_its_signature(settings: Settings) -> None:
    from mlflow.models import Model

    folder = folder_of(settings, trained(settings))

    described = Model.load(str(folder / "model"))
    assert [(each.name, each.type.name) for each in described.signature.inputs.inputs] == [
        ("hour", "double"),
        ("wind", "double"),
        ("carrier", "string"),
        ("stops", "string"),
    ]
    needed = (folder / "model" / "requirements.txt").read_text()
    assert all(f"{package}==" in needed for package in ("scikit-learn", "skops", "pandas", "numpy"))


def test_the_manifest_and_size_are_those_of_the_stored_files(settings: Settings) -> None:
    model = trained(settings)

    folder = folder_of(settings, model)

    (folder / "manifest.json").unlink()
    check_intact(folder, model.manifest)
    assert {"model/MLmodel", "model/model.skops", "verification.json"} <= model.manifest.keys()
    assert model.size_mb == size_mb(folder)
    assert model.size_mb > 0.01


def test_the_rows_that_a_run_learned_from_stand_beside_it(settings: Settings) -> None:
    trained(settings)
    (beside,) = run_of(settings).inputs.dataset_inputs
    snapshot = data_facts().snapshot
    assert (beside.dataset.name, beside.dataset.digest) == (snapshot.product, snapshot.fingerprint[:12])
    assert json.loads(beside.dataset.profile)["num_rows"] == snapshot.rows
    assert [(tag.key, tag.value) for tag in beside.tags] == [("mlflow.data.context", "training")]


def test_one_run_records_parameters_numbers_tags_and_files(settings: Settings) -> None:
    model = trained(settings, report="<h1>all rows are fine</h1>")

    run = run_of(settings)
    assert (run.info.run_id, run.info.status) == (model.run_id, "FINISHED")
    assert run.data.params["model.random_state"] == run.data.params["seed"] == "7"
    assert run.data.params["preprocessing.numeric.columns"] == "hour, wind"
    assert run.data.metrics.keys() >= {"roc_auc", "log_loss", "brier", "fit_seconds", "training_rows"}
    assert run.data.metrics["training_rows"] == 300
    tags = run.data.tags
    assert tags["seatrial.product"] == "punctual"
    assert tags["seatrial.data_fingerprint"] == "f" * 64
    assert tags["seatrial.spec_digest"] == spec_digest(spec())
    assert tags["seatrial.version.python"].startswith("3.")
    client = connect(settings.mlflow_uri)
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {
        "spec.json",
        "validation.html",
        "verification.json",
    }
    logged = client.get_logged_model(model.model_uri.removeprefix("models:/"))
    assert (logged.source_run_id, logged.status.value) == (model.run_id, "READY")
    assert {each.key for each in logged.metrics} >= {"roc_auc"}


def test_the_spec_that_people_can_read_holds_no_secret_of_its_source(settings: Settings) -> None:
    product = spec()
    source = product.data.source.model_copy(
        update={"path": None, "url": "https://ann:hunter2@files.example/rows.parquet?sig=abc123"}
    )
    product = product.model_copy(update={"data": product.data.model_copy(update={"source": source})})

    trained(settings, product)

    client = connect(settings.mlflow_uri)
    written = Path(client.download_artifacts(run_of(settings).info.run_id, "spec.json")).read_text()
    assert "files.example/rows.parquet" in written
    assert "hunter2" not in written
    assert "abc123" not in written


def test_files_lie_beside_the_database_in_the_home(settings: Settings) -> None:
    trained(settings)

    artifacts = settings.home / "mlflow" / "artifacts" / "punctual"
    assert len(list(artifacts.rglob("model.skops"))) == 1


def test_the_same_rows_spec_and_seed_give_the_same_answers(settings: Settings) -> None:
    product = spec(estimator="sklearn.ensemble.RandomForestClassifier", parameters={"n_estimators": 5, "n_jobs": -1})

    first, second = trained(settings, product), trained(settings, product)

    assert first.run_id != second.run_id
    assert first.manifest["verification.json"] == second.manifest["verification.json"]
    forest = load_model(folder_of(settings, first) / MODEL_FILE, DEFAULT_TRUSTED_TYPES)["model"]
    assert forest.n_jobs is None, "a server must not start threads for a request"
    assert first.hyperparameters["n_jobs"] == "2"


def test_what_the_estimator_raises_is_told_with_its_type(settings: Settings) -> None:
    with pytest.raises(BadModel, match=r"training raised ValueError: .*l1"):
        trained(settings, spec(parameters={"penalty": "l1", "solver": "lbfgs"}))

    run = run_of(settings)
    assert run.info.status == "FAILED"
    assert run.data.tags["seatrial.error"].startswith("BadModel: training raised ValueError")


def test_a_warning_of_the_libraries_is_kept_for_people(settings: Settings) -> None:
    model = trained(settings, spec(parameters={"max_iter": 1}))

    assert len(model.warnings) == 1
    assert model.warnings[0].startswith("ConvergenceWarning: lbfgs failed to converge")
    names = [each.path for each in connect(settings.mlflow_uri).list_artifacts(model.run_id)]
    assert "warnings.txt" in names


@pytest.mark.parametrize("kind", ["interrupt", "exit"])
def test_an_interrupted_training_does_not_stay_running(settings: Settings, kind: str) -> None:
    raised = {"interrupt": KeyboardInterrupt, "exit": SystemExit}[kind]
    path = factory(
        settings,
        f"{kind}_factory",
        "from sklearn.linear_model import LogisticRegression\n"
        "class Ends(LogisticRegression):\n"
        f"    def fit(self, X, y):\n        raise {raised.__name__}\n"
        "make = lambda: Ends()\n",
    )

    with pytest.raises(raised):
        trained(settings, spec(factory=path))

    assert run_of(settings).info.status == "FAILED"


NAN_MODEL = """
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
class Nan(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.fitted_ = True
        return self
    def predict(self, X):
        return np.where(np.arange(X.shape[0]) == 3, np.nan, 1.0)
def make():
    return Nan()
"""


def test_nan_answers_are_refused_with_their_number(settings: Settings) -> None:
    path = factory(settings, "nan_factory", NAN_MODEL)

    with pytest.raises(BadModel, match="predict gave NaN or infinity for 1 of 100 rows"):
        trained(settings, spec(task="regression", target="delay", output="prediction", factory=path))


OWN_MODEL = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
class Coin(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self
    def predict(self, X):
        return np.full(X.shape[0], self.classes_[0])
    def predict_proba(self, X):
        return np.tile([0.5, 0.5], (X.shape[0], 1))
def make():
    return Coin()
"""


def test_a_users_own_class_must_be_trusted_by_name(settings: Settings) -> None:
    path = factory(settings, "coin_factory", OWN_MODEL)

    with pytest.raises(BadModel, match=r"types that nobody trusts: coin_factory\.Coin"):
        trained(settings, spec(factory=path))

    trusting = trained(settings, spec(factory=path, trusted_types=["coin_factory.Coin"]))
    assert trusting.algorithm == "coin_factory.Coin"


def test_a_model_that_cannot_be_stored_is_a_bad_model(settings: Settings) -> None:
    path = factory(
        settings,
        "unstorable_factory",
        "from sklearn.preprocessing import FunctionTransformer\nfrom sklearn.pipeline import make_pipeline\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "def make():\n    return make_pipeline(FunctionTransformer(lambda rows: rows), LogisticRegression())\n",
    )

    with pytest.raises(BadModel, match=r"<lambda>, which no server can import"):
        trained(settings, spec(factory=path))


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, training_memory_mb=256)
    path = factory(
        settings,
        "greedy_factory",
        "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\n"
        "class Greedy(LogisticRegression):\n"
        "    def fit(self, X, y):\n        np.ones(2**30, dtype=np.uint8)\n        return super().fit(X, y)\n"
        "make = lambda: Greedy()\n",
    )

    with pytest.raises(BadModel, match="training needs more than 256 MB"):
        trained(settings, spec(factory=path))


def test_rows_that_lack_a_feature_are_bad_data(settings: Settings) -> None:
    part = split()
    poorer = dataclasses.replace(part, training=part.training.drop(columns="wind"))

    with pytest.raises(BadData, match="lack the features wind"):
        train(spec(), poorer, data_facts(), settings, ManualClock())


def test_an_mlflow_that_does_not_answer_is_known_before_anything_is_fitted(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, project=tmp_path, tracking_uri=f"sqlite:///{tmp_path}")

    with pytest.raises(RegistryUnreachable):
        train(spec(parameters={"max_iter": -1}), split(), data_facts(), settings, ManualClock())


def test_a_full_disk_is_said_and_the_run_failed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copy2", full)
    monkeypatch.setattr("shutil.copyfile", full)

    with pytest.raises(DiskFull, match="free some room"):
        trained(settings)

    assert run_of(settings).info.status == "FAILED"


def test_the_facts_for_the_registry_carry_everything(settings: Settings) -> None:
    from tasks.gate.scoring import Scores

    model = trained(settings)
    at = ManualClock().now()

    known = version_facts(model, spec(), data_facts().snapshot, Scores({"roc_auc": 0.7}, {}), at)
    version = ModelRegistry(settings.mlflow_uri, settings.keys_folder).register(
        "punctual", model.run_id, model.model_uri, known
    )

    assert version.facts == known
    assert (known.model_type, known.data_fingerprint, known.created_at) == ("classification", "f" * 64, at)
    fetched = ModelRegistry(settings.mlflow_uri, settings.keys_folder).fetch("punctual", 1, settings.models)
    check_intact(folder_of(settings, model), json.loads((fetched / "manifest.json").read_text()))


def test_two_specs_that_say_the_same_have_one_digest() -> None:
    assert spec_digest(spec()) == spec_digest(spec())
    assert spec_digest(spec()) != spec_digest(spec(seed=8))


def test_abandoned_runs_are_closed_and_living_ones_left_alone(settings: Settings) -> None:
    client = connect(settings.mlflow_uri)
    experiment = client.create_experiment("punctual")
    owners = {
        "dead": str(dataclasses.replace(this_process(), pid=999_999_999)),
        "living": str(this_process()),
        "elsewhere": "another-host:1:1.0",
        "not ours": None,
    }
    runs = {
        name: client.create_run(experiment, tags={tracking.OWNER: owner} if owner else {}).info.run_id
        for name, owner in owners.items()
    }

    assert tracking.close_abandoned_runs("punctual", settings) == (runs["dead"],)
    assert tracking.close_abandoned_runs("punctual", settings) == ()
    states = {name: client.get_run(run).info.status for name, run in runs.items()}
    assert states == {"dead": "KILLED", "living": "RUNNING", "elsewhere": "RUNNING", "not ours": "RUNNING"}
    assert tracking.close_abandoned_runs("never trained", settings) == ()


def features() -> tuple[Feature, ...]:
    return features_in(spec().preprocessing)


def test_the_rows_of_these_tests_have_gaps() -> None:
    assert rows()["wind"].isna().any()
    assert rows()["carrier"].isna().any()
    assert np.isin(["on time", "late", "very late"], rows()["status"]).all()
