"""Held-out rows with the answers that a server must give: proof that what is served is what was trained."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployments.errors import BadData
from deployments.serving.known_categories import known_categories
from tasks.models.features import Feature, select_features
from tasks.models.predictions import as_json
from tasks.product_spec import Output

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows that training did not see, and the text that their source has for them, by the same index; None if typed."""

    rows: "pd.DataFrame"
    texts: "pd.DataFrame | None" = None


def verification_sample(
    model: Any, held_out: HeldOut, features: tuple[Feature, ...], output: Output, most: int
) -> bytes:
    """The content of `verification.json`: at most `most` rows as values and as text, and the answers in the same order.

    The rows are spread evenly over what is held out. Raises `BadModel` if the model cannot answer, `BadData` without
    rows.
    """
    if held_out.rows.empty:
        raise BadData("there are no held-out rows to verify a server with: widen data.split")
    chosen = _spread(held_out.rows, most)
    rows = select_features(chosen, features, known_categories(model))
    without_nan = rows.astype(object).where(rows.notna(), None)
    document = {
        "request": _split(list(rows.columns), without_nan.to_numpy().tolist()),
        "texts": _split(list(rows.columns), _texts(chosen, held_out.texts, features)),
        "predictions": as_json(model, rows, output),
    }
    return json.dumps(document, allow_nan=False).encode()


def _split(columns: list[str], data: list[list[Any]]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": data}}


def _texts(
    chosen: "pd.DataFrame", texts: "pd.DataFrame | None", features: tuple[Feature, ...]
) -> list[list[str | None]]:
    """As the source wrote the rows; of a typed one, as a client would write its values."""
    columns = [
        texts[each.name].loc[chosen.index].tolist()
        if texts is not None and each.name in texts
        else [_as_text(value) for value in chosen[each.name]]
        for each in features
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _as_text(value: Any) -> str | None:
    import pandas as pd

    return None if pd.isna(value) else str(value)


def _spread(frame: "pd.DataFrame", most: int) -> "pd.DataFrame":
    count = min(most, len(frame))
    return frame.iloc[[index * len(frame) // count for index in range(count)]]
