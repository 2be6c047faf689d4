"""Held-out rows as the servers of a version are asked them before any traffic: as values and as text, by each protocol.

`verification.json` of a model folder holds the rows and the answers that training gave.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deployments.targets.protocol import JSON

CSV: Final = "text/csv"
INVOCATIONS: Final = "/invocations"


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One request for the rows at these places of the sample; `how` says in which form, empty for plain values."""

    how: str
    path: str
    media_type: str
    body: bytes
    rows: tuple[int, ...]


def sample_requests(product: str, verification: Mapping[str, Any]) -> Iterator[SampleRequest]:
    """What servers of `product` are asked; text, as the source has it, only of a version that kept it.

    CSV has no word for a missing value that every column takes: rows of a typed source with one are left out there.
    """
    every = tuple(range(len(verification["predictions"])))
    yield SampleRequest("", INVOCATIONS, JSON, json.dumps(verification["request"]).encode(), every)
    if "texts" not in verification:
        return
    split = verification["texts"]["dataframe_split"]
    columns, rows = split["columns"], split["data"]
    told = "as its source writes it"
    yield SampleRequest(f" ({told})", INVOCATIONS, JSON, json.dumps(verification["texts"]).encode(), every)
    if whole := tuple(place for place in every if None not in rows[place]):
        content = _as_csv([columns, *(rows[place] for place in whole)])
        yield SampleRequest(f" ({told}, as CSV)", INVOCATIONS, CSV, content, whole)
    yield SampleRequest(f" ({told}, by V2)", f"/v2/models/{product}/infer", JSON, _as_tensors(columns, rows), every)


def predictions_in(body: bytes, expected: Sequence[Any]) -> list[Any]:
    """The predictions of an answer in either protocol, in the form of `expected`. Raises `ValueError` for none."""
    document = json.loads(body)
    if "predictions" in document:
        return list(document["predictions"])
    is_nested = bool(expected) and isinstance(expected[0], list)
    wanted = "probability" if is_nested else "prediction"
    found = next((output["data"] for output in document.get("outputs", ()) if output["name"] == wanted), None)
    if found is None:
        raise ValueError(f"no output {wanted!r}")
    width = len(expected[0]) if is_nested else 1
    return [found[start : start + width] for start in range(0, len(found), width)] if is_nested else list(found)


def _as_csv(rows: Sequence[Sequence[str]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


def _as_tensors(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> bytes:
    tensors = [
        {"name": name, "shape": [len(rows)], "datatype": "BYTES", "data": [row[place] for row in rows]}
        for place, name in enumerate(columns)
    ]
    return json.dumps({"inputs": tensors}).encode()
