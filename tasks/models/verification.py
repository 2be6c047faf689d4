"""Held-out rows with the answers that a server must give: proof that what is served is what was trained."""

import json
from typing import TYPE_CHECKING, Any

from deployments.errors import BadData
from deployments.serving.known import known_categories
from tasks.models.features import Feature, select_features
from tasks.models.predictions import as_json
from tasks.spec import Output

if TYPE_CHECKING:
    import pandas as pd


def verification_sample(
    model: Any, held_out: "pd.DataFrame", features: tuple[Feature, ...], output: Output, most: int
) -> bytes:
    """The content of `verification.json`: one request of at most `most` rows, and the answers in the same order.

    The rows are spread evenly over `held_out`. Raises `BadModel` if the model cannot answer, `BadData` without rows.
    """
    if held_out.empty:
        raise BadData("there are no held-out rows to verify a server with: widen data.split")
    rows = select_features(_spread(held_out, most), features, known_categories(model))
    without_nan = rows.astype(object).where(rows.notna(), None)
    request = {"dataframe_split": {"columns": list(rows.columns), "data": without_nan.to_numpy().tolist()}}
    return json.dumps({"request": request, "predictions": as_json(model, rows, output)}, allow_nan=False).encode()


def _spread(frame: "pd.DataFrame", most: int) -> "pd.DataFrame":
    count = min(most, len(frame))
    return frame.iloc[[index * len(frame) // count for index in range(count)]]
