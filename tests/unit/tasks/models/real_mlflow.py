"""A real MLflow on SQLite for tests, without the seconds that its migrations take; rows and specs to train on."""

import atexit
import json
import shutil
import tempfile
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deployments.registry.mlflow_client import connect
from deployments.settings import Settings
from tasks.datasets.snapshot import Snapshot
from tasks.datasets.split import Split
from tasks.models.train import DataFacts
from tasks.product_spec import ProductSpec


@lru_cache(maxsize=1)
def _migrated() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="seatrial-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    connect(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Settings whose home has a migrated, empty MLflow of its own."""
    home = folder / "home"
    (home / "mlflow").mkdir(parents=True)
    shutil.copy(_migrated(), home / "mlflow" / "mlflow.db")
    project = folder / "project"
    project.mkdir()
    return Settings(home=home, project=project, **changes)


def rows(count: int = 400, seed: int = 1) -> pd.DataFrame:
    """Flights of an airline that is late in the evening; every kind of column, with gaps in `wind` and `carrier`."""
    random = np.random.default_rng(seed)
    hour = random.integers(0, 24, count)
    late = random.random(count) < 0.1 + 0.03 * hour
    frame = pd.DataFrame(
        {
            "hour": hour,
            "wind": np.where(random.random(count) < 0.1, np.nan, random.gamma(2.0, 5.0, count)),
            "carrier": random.choice(np.array(["AA", "UA", None], dtype=object), count),
            "stops": random.integers(0, 3, count),
            "late": late,
        }
    )
    frame["delay"] = frame["hour"] * 2.0 + random.normal(0, 5, count)
    frame["status"] = np.select([late & (hour > 15), late], ["very late", "late"], "on time")
    return frame


def split(count: int = 400) -> Split:
    frame = rows(count)
    return Split(frame.iloc[: count * 3 // 4], frame.iloc[count * 3 // 4 :], None)


def data_facts(report: str | None = None) -> DataFacts:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return DataFacts(Snapshot("punctual", "f" * 64, Path("snapshot.parquet"), 400, (), 0.1, moment, moment), report)


def spec(*, target: str = "late", gate: dict[str, Any] | None = None, **model: Any) -> ProductSpec:
    """A product over `rows`; keywords are fields of its model section."""
    chosen: dict[str, Any] = {
        "task": "classification",
        "parameters": {},
        "seed": 7,
        "output": "probability",
    } | model
    if "factory" not in chosen:
        chosen.setdefault("estimator", "sklearn.linear_model.LogisticRegression")
    threshold = (
        {"metric": "roc_auc", "min": 0.6} if chosen["task"] == "classification" else {"metric": "mae", "max": 10.0}
    )
    document = {
        "product": "punctual",
        "data": {"source": {"path": "rows.parquet"}, "target": target},
        "validation": {"suite": "suite.json"},
        "preprocessing": {
            "numeric": {"columns": ["hour", "wind"]},
            "categorical": {"columns": ["carrier", "stops"]},
        },
        "model": chosen,
        "gate": gate or {"thresholds": [threshold]},
        "rollout": {"verify_rows": 12},
    }
    return ProductSpec.model_validate_json(json.dumps(document))
