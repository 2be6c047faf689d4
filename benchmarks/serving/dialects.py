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
    """`question` makes the document for columns and rows, `probabilities` reads the answer's, as rows.

    With `in_bytes` the rows follow the document as they lie in memory (V2's extension for binary tensors).
    """

    path: str
    question: Question
    probabilities: Callable[[Any], Any]
    in_bytes: bool = False

    def body(self, columns: list[str], rows: np.ndarray) -> bytes:
        """The question as JSON."""
        return orjson.dumps(self.question(columns, rows), option=orjson.OPT_SERIALIZE_NUMPY)

    def request(self, columns: list[str], rows: np.ndarray) -> bytes:
        """One whole HTTP request for a kept connection."""
        body = self.body(columns, rows)
        lines = [f"POST {self.path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
        if self.in_bytes:
            lines[-1:] = ["content-type: application/octet-stream", f"inference-header-content-length: {len(body)}"]
            body += rows.tobytes()
        return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def _split(columns: list[str], rows: np.ndarray) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": rows}}


def _one_tensor(output: str) -> Question:
    """V2 with one tensor, asking for `output`; with an id, so that equal requests get the same bytes."""

    def question(_: list[str], rows: np.ndarray) -> dict[str, Any]:
        tensor = {"name": "rows", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel()}
        return {"id": "1", "inputs": [tensor], "outputs": [{"name": output}]}

    return question


def _tensor_in_bytes(_: list[str], rows: np.ndarray) -> dict[str, Any]:
    tensor = {
        "name": "rows",
        "shape": list(rows.shape),
        "datatype": "FP64",
        "parameters": {"binary_data_size": rows.nbytes},
    }
    return {"id": "1", "inputs": [tensor], "outputs": [{"name": "probability"}]}


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
    "V2 in bytes": Dialect(f"/v2/models/{PRODUCT}/infer", _tensor_in_bytes, _tensor_as_rows, in_bytes=True),
    "V2, MLServer's names": Dialect(f"/v2/models/{PRODUCT}/infer", _one_tensor("predict_proba"), _tensor_as_rows),
    "JSON rows": Dialect("/predict", lambda _, rows: {"rows": rows}, lambda answer: answer),
}
