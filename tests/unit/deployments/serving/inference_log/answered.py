"""Answers to log, made up."""

from typing import Any

import numpy as np

from deployments.serving.inference_log import Logged
from tests.model_folder import batch_of_rows

ROW = (1400.0, 5.0, "UA")


def logged(request_id: str = "a", rows: tuple[tuple[Any, ...], ...] = (ROW,), **more: Any) -> Logged:
    """An answer with the same scores for every row; `more` are fields of `Logged`."""
    fields: dict[str, Any] = {
        "request_id": request_id,
        "key": None,
        "mirrored": False,
        "paired": False,
        "batch": batch_of_rows(rows),
        "predictions": [[0.25, 0.75]] * len(rows),
        "answered": 0.0,
        "seconds": 0.0025,
        "body_bytes": 100,
    }
    fields |= more
    fields["predictions"] = np.asarray(fields["predictions"])
    return Logged(**fields)
