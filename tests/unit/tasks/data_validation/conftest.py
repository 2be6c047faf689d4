import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.product_spec import ProductSpec


@pytest.fixture
def spec() -> ProductSpec:
    """A small product: features `heat` and `place`, key and time `at`, target `sold`."""
    return ProductSpec.model_validate_json(
        json.dumps(
            {
                "product": "ices",
                "data": {
                    "source": {"path": "ices.csv"},
                    "target": "sold",
                    "time_column": "at",
                    "key": ["at"],
                    "window": {"start": "2020-05-01", "end": "2020-06-10"},
                },
                "validation": {"suite": "ices.suite.json"},
                "preprocessing": {"numeric": {"columns": ["heat"]}, "categorical": {"columns": ["place"]}},
                "model": {"task": "regression", "estimator": "sklearn.linear_model.Ridge"},
                "gate": {"thresholds": [{"metric": "mae", "max": 3}]},
            }
        )
    )


@pytest.fixture
def frame() -> pd.DataFrame:
    """Forty good days, the last one the day before the window ends."""
    at = pd.date_range("2020-05-01", periods=40, freq="D", tz="UTC")
    heat = [15.0 + (day * 7) % 11 for day in range(40)]
    place = ["pier" if day % 2 else "park" for day in range(40)]
    return pd.DataFrame({"at": at, "heat": heat, "place": place, "sold": [(day * 13) % 17 for day in range(40)]})


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[..., Path]:
    """Writes a suite file of these expectations and this section of ours."""

    def write(*expectations: dict[str, Any], **own: Any) -> Path:
        path = tmp_path / "ices.suite.json"
        path.write_text(json.dumps({"name": "ices", "expectations": expectations, "meta": {"seatrial": own}}))
        return path

    return write
