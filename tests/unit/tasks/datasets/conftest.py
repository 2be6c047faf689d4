import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.product_spec import ProductSpec

MakeSpec = Callable[..., ProductSpec]


@pytest.fixture
def make_spec() -> MakeSpec:
    """A spec of a small product: features `heat` and `place`, target `sold`, time `at`; data fields can be replaced."""

    def make(path: Path, **data: Any) -> ProductSpec:
        fields = {"source": {"path": str(path)}, "target": "sold", "time_column": "at", "key": ["at"]} | data
        return ProductSpec.model_validate_json(
            json.dumps(
                {
                    "product": "ices",
                    "data": fields,
                    "validation": {"suite": "ices.suite.json"},
                    "preprocessing": {"numeric": {"columns": ["heat"]}, "categorical": {"columns": ["place"]}},
                    "model": {"task": "regression", "estimator": "sklearn.linear_model.Ridge"},
                    "gate": {"thresholds": [{"metric": "mae", "max": 3}]},
                }
            )
        )

    return make


@pytest.fixture
def ices(tmp_path: Path) -> Path:
    """Ten days of sales as CSV, one row a day from 2020-05-01."""
    path = tmp_path / "ices.csv"
    rows = [
        f"2020-05-{day:02d} 12:00:00,{15 + day / 2},{'pier' if day % 2 else 'park'},{day * 3}" for day in range(1, 11)
    ]
    path.write_text("at,heat,place,sold\n" + "\n".join(rows) + "\n")
    return path
