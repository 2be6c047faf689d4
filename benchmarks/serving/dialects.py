"""What is sent to a server and how its answer is read, in each of the dialects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from benchmarks.serving.models import PRODUCT

Question = Callable[[list[str], np.ndarray], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """`question` makes the document for columns and rows, `probabilities` reads the answer's, as rows."""

    path: str
    question: Question
    probabilities: Callable[[Any], Any]

    def body(self, columns: list[str], rows: np.ndarray) -> bytes:
        """The question as JSON."""
        return orjson.dumps(self.question(columns, rows), option=orjson.OPT_SERIALIZE_NUMPY)

    def request(self, columns: list[str], rows: np.ndarray) -> bytes:
        """One whole HTTP request for a kept connection."""
        body = self.body(columns, rows)
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _split(columns: list[str], rows: np.ndarray) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": rows}}


def _one_tensor(output: str) -> Question:
    """V2 with one tensor, asking for `output`; with an id, so that equal requests get the same bytes."""

    def question(_: list[str], rows: np.ndarray) -> dict[str, Any]:
        tensor = {"name": "rows", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel()}
        return {"id": "1", "inputs": [tensor], "outputs": [{"name": output}]}

    return question


def _tensor_as_rows(answer: Any) -> Any:
    output = answer["outputs"][0]
    return np.reshape(output["data"], output["shape"])


def _from_split(answer: Any) -> Any:
    """A column of names where MLflow has made a frame of the probabilities."""
    rows = answer["predictions"]
    return [list(row.values()) for row in rows] if isinstance(rows[0], dict) else rows


DIALECTS = {
    "dataframe_split": Dialect("/invocations", _split, _from_split),
    "V2": Dialect(f"/v2/models/{PRODUCT}/infer", _one_tensor("probability"), _tensor_as_rows),
    "V2, MLServer's names": Dialect(f"/v2/models/{PRODUCT}/infer", _one_tensor("predict_proba"), _tensor_as_rows),
    "JSON rows": Dialect("/predict", lambda _, rows: {"rows": rows}, lambda answer: answer),
}
