"""What is sent to a server and how its answer is read, in each of the dialects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from benchmarks.serving.models import PRODUCT

Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Dialect:
    """`question` makes the document for columns and rows, `probabilities` reads the answer's, as rows."""

    path: str
    question: Callable[[list[str], np.ndarray], dict[str, Any]]
    probabilities: Read

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


def _tensor(name: str, rows: np.ndarray) -> dict[str, Any]:
    return {"name": name, "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel()}


def _tensor_a_column(columns: list[str], rows: np.ndarray) -> dict[str, Any]:
    """V2 as our server takes it; only the probabilities are asked for."""
    by_column = np.ascontiguousarray(rows.T)
    tensors = [_tensor(name, values) for name, values in zip(columns, by_column, strict=True)]
    return {"id": "1", "inputs": tensors, "outputs": [{"name": "probability"}]}


def _one_tensor(_: list[str], rows: np.ndarray) -> dict[str, Any]:
    """V2 as MLServer likes it; the id is given, so that answers to the same request are equal byte for byte."""
    return {"id": "1", "inputs": [_tensor("rows", rows)], "outputs": [{"name": "predict_proba"}]}


def _tensor_as_rows(answer: Any) -> Any:
    output = answer["outputs"][0]
    return np.reshape(output["data"], output["shape"])


def _from_split(answer: Any) -> Any:
    """A column of names where MLflow has made a frame of the probabilities."""
    rows = answer["predictions"]
    return [list(row.values()) for row in rows] if isinstance(rows[0], dict) else rows


DIALECTS = {
    "dataframe_split": Dialect("/invocations", _split, _from_split),
    "V2, a tensor a column": Dialect(f"/v2/models/{PRODUCT}/infer", _tensor_a_column, _tensor_as_rows),
    "V2, one tensor": Dialect(f"/v2/models/{PRODUCT}/infer", _one_tensor, _tensor_as_rows),
    "JSON rows": Dialect("/predict", lambda _, rows: {"rows": rows}, lambda answer: answer),
}
