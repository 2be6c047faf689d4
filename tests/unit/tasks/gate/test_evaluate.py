"""The gate on models that were really trained and stored."""

from pathlib import Path
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.errors import BadArtifact, BadData
from deployments.registry import ModelRegistry
from deployments.registry.model_folder import MODEL_FILE
from deployments.settings import Settings
from tasks.gate.evaluate import Champion, evaluate
from tasks.models.train import train
from tasks.product_spec import ProductSpec
from tests.unit.tasks.models.real_mlflow import data_facts, settings_in, spec, split

COMPARING: dict[str, Any] = {
    "thresholds": [{"metric": "roc_auc", "min": 0.55}],
    "against_champion": [{"metric": "roc_auc", "margin": 0.01}],
}
ROWS = split(1200)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def folder(settings: Settings, product: ProductSpec) -> Path:
    model = train(product, ROWS, data_facts(), settings, ManualClock())
    registry = ModelRegistry(settings.mlflow_uri, settings.keys_folder)
    most = round(model.size_mb * 1e6)
    return registry.fetch_candidate(model.run_id, model.model_uri, model.manifest, settings.home / "candidates", most)


def champion_of(settings: Settings, product: ProductSpec) -> Champion:
    return Champion(folder(settings, product), product.model.trusted_types)


def test_a_good_candidate_without_a_champion_passes(settings: Settings) -> None:
    found = evaluate(spec(gate=COMPARING), ROWS.evaluation, folder(settings, spec()), None, settings)

    assert found.verdict.passed, str(found.verdict)
    assert found.champion is None
    assert 0.6 < found.candidate.values["roc_auc"] < 0.9


def test_a_constant_model_is_refused_whatever_the_limits_say(settings: Settings) -> None:
    product = spec(estimator="sklearn.dummy.DummyClassifier", gate={"thresholds": [{"metric": "accuracy", "min": 0.0}]})

    found = evaluate(product, ROWS.evaluation, folder(settings, product), None, settings)

    assert found.verdict.failures == ("the model says the same for every row",)


def test_a_worse_candidate_loses_against_the_champion_on_the_same_rows(settings: Settings) -> None:
    champion = champion_of(settings, spec())
    worse = spec(
        estimator="sklearn.tree.DecisionTreeClassifier",
        gate=COMPARING | {"thresholds": [{"metric": "roc_auc", "min": 0.0}]},
    )

    found = evaluate(worse, ROWS.evaluation, folder(settings, worse), champion, settings)

    assert found.champion is not None
    assert found.candidate.values["roc_auc"] < found.champion.values["roc_auc"]
    assert len(found.verdict.failures) == 1
    assert "worse than the champion's" in found.verdict.failures[0]


def with_features(names: list[str]) -> ProductSpec:
    product = spec(gate=COMPARING)
    numeric = product.preprocessing.numeric
    assert numeric is not None
    columns = product.preprocessing.model_copy(
        update={"numeric": numeric.model_copy(update={"columns": tuple(names)}), "categorical": None}
    )
    return product.model_copy(update={"preprocessing": columns})


def test_a_champion_with_other_features_gets_its_own_columns(settings: Settings) -> None:
    champion = champion_of(settings, with_features(["hour", "stops"]))
    product = with_features(["hour"])

    found = evaluate(product, ROWS.evaluation, folder(settings, product), champion, settings)

    assert found.champion is not None
    assert found.champion.values != found.candidate.values
    assert found.verdict.passed, str(found.verdict)


def test_a_champion_whose_columns_are_gone_fails_the_gate_with_the_reason(settings: Settings) -> None:
    champion = champion_of(settings, with_features(["hour", "stops"]))
    product = with_features(["hour"])

    found = evaluate(product, ROWS.evaluation.drop(columns="stops"), folder(settings, product), champion, settings)

    assert found.champion is None
    assert not found.verdict.passed
    assert found.verdict.failures[0].startswith(
        "the champion cannot score these rows: the rows lack the features stops"
    )


def test_a_champion_holds_the_types_that_its_own_spec_trusted(settings: Settings) -> None:
    (settings.project / "own_model.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n"
        "class Mine(LogisticRegression): pass\n"
        "def make(): return Mine()\n"
    )
    champion = champion_of(settings, spec(factory="own_model.make", trusted_types=["own_model.Mine"]))
    product = spec(gate=COMPARING)

    found = evaluate(product, ROWS.evaluation, folder(settings, product), champion, settings)

    assert found.champion is not None, str(found.verdict)


def test_a_champion_that_is_damaged_or_of_another_task_fails_the_gate(settings: Settings) -> None:
    product = spec(gate=COMPARING)
    candidate = folder(settings, product)
    regression = spec(task="regression", target="delay", output="prediction", estimator="sklearn.linear_model.Ridge")

    other = evaluate(product, ROWS.evaluation, candidate, champion_of(settings, regression), settings)
    assert "it was trained for regression" in other.verdict.failures[0]
    assert "leave gate.against_champion out for one release" in other.verdict.failures[0]

    damaged = champion_of(settings, spec(seed=9))
    (damaged.folder / MODEL_FILE).write_bytes(b"PK")
    broken = evaluate(product, ROWS.evaluation, candidate, damaged, settings)
    assert "cannot be loaded" in broken.verdict.failures[0]


def test_a_champion_that_knows_other_classes_cannot_be_compared(settings: Settings) -> None:
    product = spec(gate=COMPARING)

    found = evaluate(
        product, ROWS.evaluation, folder(settings, product), champion_of(settings, spec(target="status")), settings
    )

    assert any("the model does not know the class" in reason for reason in found.verdict.failures)


def test_a_candidate_that_cannot_be_judged_is_an_error_not_a_verdict(settings: Settings) -> None:
    candidate = folder(settings, spec())

    with pytest.raises(BadData, match="lack the features hour"):
        evaluate(spec(), ROWS.evaluation.drop(columns="hour"), candidate, None, settings)
    with pytest.raises(BadData, match="lack the target 'late'"):
        evaluate(spec(), ROWS.evaluation.drop(columns="late"), candidate, None, settings)
    with pytest.raises(BadArtifact, match="does not say what the model takes"):
        evaluate(spec(), ROWS.evaluation, settings.home, None, settings)
