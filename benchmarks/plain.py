"""The script that a user would write instead of a release: the same pandas, scikit-learn and MLflow calls, no more.

It reads flights of January–February 2013, fits the same pipeline, scores the newest 14 days, logs the run with the
model, registers it and names it champion. No validation, no gate, no servers, no traffic.

    python -m benchmarks.plain TRACKING_URI
"""

import os
import sys
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

DATA = Path(__file__).parents[1] / "data" / "flights.parquet"
NUMERIC = ["distance", "hour", "temp", "wind_speed", "precip", "visib"]
CATEGORICAL = ["carrier", "origin", "dest"]


def main(tracking_uri: str) -> None:
    """Train, log, register."""
    frame = pd.read_parquet(DATA)
    moments = pd.to_datetime(frame["scheduled_at"], utc=True)
    training = frame[
        (moments >= pd.Timestamp("2013-01-01", tz="UTC")) & (moments < pd.Timestamp("2013-02-15", tz="UTC"))
    ]
    evaluation = frame[
        (moments >= pd.Timestamp("2013-02-15", tz="UTC")) & (moments < pd.Timestamp("2013-03-01", tz="UTC"))
    ]
    features = [*NUMERIC, *CATEGORICAL]
    model = make_pipeline(
        ColumnTransformer(
            [
                ("numeric", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMERIC),
                ("categorical", OneHotEncoder(min_frequency=50, handle_unknown="infrequent_if_exist"), CATEGORICAL),
            ]
        ),
        LogisticRegression(max_iter=500, random_state=7),
    )
    with mlflow_run(tracking_uri) as run:
        model.fit(training[features], training["late"])
        scores = model.predict_proba(evaluation[features])[:, 1]
        truth = evaluation["late"]
        mlflow.log_params({"max_iter": 500, "random_state": 7})
        mlflow.log_metrics(
            {
                "roc_auc": float(roc_auc_score(truth, scores)),
                "pr_auc": float(average_precision_score(truth, scores)),
                "log_loss": float(log_loss(truth, scores)),
                "brier": float(brier_score_loss(truth, scores)),
                "accuracy": float(accuracy_score(truth, scores > 0.5)),
            }
        )
        sample = training[features].head(100).astype(dict.fromkeys(NUMERIC, "float64"))
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(sample, model.predict_proba(sample)),
            pip_requirements=["scikit-learn", "pandas", "skops"],
            skops_trusted_types=["numpy.dtype"],
        )
        version = mlflow.register_model(logged.model_uri, "flights-plain")
        mlflow.MlflowClient().set_registered_model_alias("flights-plain", "champion", version.version)
        print(f"version {version.version} of run {run.info.run_id}")


def mlflow_run(tracking_uri: str) -> mlflow.ActiveRun:
    """A run in the experiment of the comparison."""
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment("flights-plain")
    return mlflow.start_run()


if __name__ == "__main__":
    main(sys.argv[1])
