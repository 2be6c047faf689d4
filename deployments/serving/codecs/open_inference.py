"""The Open Inference Protocol V2 over HTTP: tensors in and out, as JSON or as bytes.

A request has one tensor a column; or, for a model that takes nothing but numbers, one of all rows and columns.
"""

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import orjson

from deployments.serving.codecs.binary_tensors import EXTENSION, HEADER_LENGTH, Tail, bytes_of, split_body
from deployments.serving.codecs.content_decoding import BINARY, JSON, check_size, loaded_with_nan, media_type, unpacked
from deployments.serving.codecs.tensor import parameters_of, shape_of, values_of
from deployments.serving.inference_request import Answers, Headers, Query, Wanted, Written, written_as_json
from deployments.serving.input_validation import (
    Unanswerable,
    batch_of,
    check_rows,
    checked,
    infinite,
    is_list_of,
    rounded_as_trained,
    unknown,
)
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.openapi.column_schema import accepted
from deployments.serving.request_limits import Limits
from deployments.serving.row_batch import Batch

_DATATYPES = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
    "string": "BYTES",
}
_DATATYPE_OF_LABEL: dict[type, str] = {bool: "BOOL", int: "INT64", float: "FP64"}
_NOT_OFFERED = ("classification", "shared_memory_region")


class OipDialect:
    """The dialect of one version of a model: see `deployments.serving.inference_request.Dialect`."""

    def __init__(self, description: Description, version: str, limits: Limits) -> None:
        self._description = description
        self._version = version
        self._limits = limits
        self._known = frozenset(feature.name for feature in description.features)
        self._only_numbers = description.only_numbers
        self._all_columns = f"the tensor of columns {', '.join(feature.name for feature in description.features)}"
        self._offered = offered_outputs(description)
        self._all = {binary: tuple(Wanted(output, binary) for output in self._offered) for binary in (False, True)}
        self._label_datatype = datatype_of_labels(description)

    def read(self, headers: Headers, body: bytes) -> Query:
        """See `Dialect`."""
        header_length = headers.get(HEADER_LENGTH)
        kind, _ = media_type(headers)
        if kind not in {JSON, b""} and (kind != BINARY or header_length is None):
            raise Unanswerable(
                415,
                "send the request as application/json, or as application/octet-stream with its JSON's length in "
                "Inference-Header-Content-Length",
            )
        content, tail = split_body(unpacked(headers, body, self._limits.body_bytes), header_length)
        tail.made = check_size(content)
        document = loaded_with_nan(content)
        batch = self._batch(_tensors_of(document), tail)
        tail.close()
        given_id = document.get("id")
        return Query(batch, self._wanted(document), given_id if isinstance(given_id, str) else None)

    def write(self, query: Query, answers: Answers, request_id: str) -> Written:
        """See `Dialect`."""
        outputs: list[dict[str, Any]] = []
        tail: list[bytes] = []
        for wanted in query.wanted:
            tensor, values = self._tensor(wanted.output, answers[wanted.output])
            if wanted.binary:
                tail.append(bytes_of(values, tensor["datatype"]))
                tensor["parameters"] = {"binary_data_size": len(tail[-1])}
            else:
                tensor["data"] = values
            outputs.append(tensor)
        content = written_as_json(
            {
                "model_name": self._description.product,
                "model_version": self._version,
                "id": request_id if query.id is None else query.id,
                "outputs": outputs,
            }
        )
        if not any(wanted.binary for wanted in query.wanted):
            return [(b"content-type", JSON)], content
        return [(b"content-type", BINARY), (HEADER_LENGTH, b"%d" % len(content))], b"".join((content, *tail))

    def refuse(self, status: int, message: str, request_id: str) -> bytes:
        """See `Dialect`."""
        del status
        return orjson.dumps({"error": message, "request_id": request_id})

    def _batch(self, tensors: Sequence[Mapping[str, Any]], tail: Tail) -> Batch:
        features = self._description.features
        if self._only_numbers and len(tensors) == 1 and str(tensors[0].get("name")) not in self._known:
            return self._matrix(tensors[0], tail)
        columns: dict[str, Any] = {}
        for tensor in tensors:
            name = tensor.get("name")
            if not isinstance(name, str):
                takes = ", ".join(feature.name for feature in features)
                raise Unanswerable(422, f"an input has no name; the model takes {takes}")
            if name not in self._known:
                raise unknown([name], features)
            if name in columns:
                raise Unanswerable(422, f"column {name!r} is given twice")
            columns[name] = _column(tensor, f"column {name!r}", tail, self._limits.rows)
        return batch_of(columns, features, self._limits)

    def _matrix(self, tensor: Mapping[str, Any], tail: Tail) -> Batch:
        features, what = self._description.features, self._all_columns
        shape = shape_of(tensor, what)
        if len(shape) != 2 or shape[1] != len(features):
            raise Unanswerable(422, f"{what}: its shape must be [rows, {len(features)}]")
        check_rows(shape[0], self._limits.rows)
        values = values_of(tensor, shape, what, tail)
        if tensor["datatype"] == "BYTES":
            raise Unanswerable(422, f"{what} must hold numbers")
        # A copy: of the caller's bytes, which may lie at any address, models get memory that is theirs.
        matrix = np.array(values, dtype=np.float64).reshape(shape)
        if (unbounded := np.isinf(matrix)).any():
            raise infinite(features[int(unbounded.any(axis=0).argmax())].name)
        return checked(Batch(shape[0], rounded_as_trained(matrix, features), ()), features, self._limits)

    def _wanted(self, document: Mapping[str, Any]) -> tuple[Wanted, ...]:
        binary = parameters_of(document, "the request").get("binary_data_output") is True
        wanted = document.get("outputs")
        if not wanted:
            return self._all[binary]
        if not is_list_of(dict, wanted) or len({str(each.get("name")) for each in wanted}) != len(wanted):
            raise self._unknown_output()
        return tuple(self._one_wanted(each, binary) for each in wanted)

    def _one_wanted(self, output: Mapping[str, Any], binary: bool) -> Wanted:
        name = output.get("name")
        if name not in self._offered:
            raise self._unknown_output()
        parameters = parameters_of(output, f"output {str(name)!r}")
        for parameter in _NOT_OFFERED:
            if parameters.get(parameter):
                raise Unanswerable(422, f"parameter {parameter!r} of an output is not offered")
        return Wanted(Output(name), parameters.get("binary_data", binary) is True)

    def _unknown_output(self) -> Unanswerable:
        return Unanswerable(422, f"`outputs` must name some of {', '.join(self._offered)}, each once, or be left out")

    def _tensor(self, output: Output, rows: "np.ndarray[Any, Any]") -> tuple[dict[str, Any], "np.ndarray[Any, Any]"]:
        if output is Output.PROBABILITY:
            return {"name": "probability", "datatype": "FP64", "shape": list(rows.shape)}, rows.ravel()
        return {"name": "prediction", "datatype": self._label_datatype, "shape": [len(rows)]}, rows


def describe_server() -> dict[str, Any]:
    """Server metadata."""
    try:
        ours = importlib.metadata.version("seatrial")
    except importlib.metadata.PackageNotFoundError:
        ours = "unknown"
    return {"name": "seatrial", "version": ours, "extensions": [EXTENSION]}


def describe_model(description: Description, version: str) -> dict[str, Any]:
    """Model metadata; the length of a shape is -1 where it is the number of rows.

    The parameters of an input say what its column takes, those of an output in which order its classes stand.
    """
    shapes = {Output.PREDICTION: [-1], Output.PROBABILITY: [-1, len(description.classes)]}
    datatypes = {Output.PREDICTION: datatype_of_labels(description), Output.PROBABILITY: "FP64"}
    return {
        "name": description.product,
        "versions": [version],
        "platform": "sklearn",
        "inputs": [
            {"name": f.name, "datatype": datatype_of(f), "shape": [-1], "parameters": {"accepts": accepted(f)}}
            for f in description.features
        ],
        "outputs": [
            {"name": output, "datatype": datatypes[output], "shape": shapes[output]}
            | ({"parameters": {"classes": list(description.classes)}} if description.classes else {})
            for output in offered_outputs(description)
        ],
    }


def offered_outputs(description: Description) -> tuple[Output, ...]:
    """What a caller may ask of a model."""
    return tuple(Output) if description.output is Output.PROBABILITY else (Output.PREDICTION,)


def datatype_of(feature: Feature) -> str:
    """V2 name of the type that a feature is best sent as."""
    return _DATATYPES.get(feature.type, "BYTES" if feature.kind is Kind.CATEGORICAL else "FP64")


def datatype_of_labels(description: Description) -> str:
    """V2 name of the type of the model's classes, or of the numbers that it predicts."""
    return _DATATYPE_OF_LABEL.get(type(description.classes[0]), "BYTES") if description.classes else "FP64"


def _tensors_of(document: Any) -> list[dict[str, Any]]:
    tensors: Any = document.get("inputs") if isinstance(document, dict) else None
    if not is_list_of(dict, tensors):
        raise Unanswerable(400, "send a JSON object with `inputs`, a list of tensors, one a column")
    return cast(list[dict[str, Any]], tensors)


def _column(tensor: Mapping[str, Any], what: str, tail: Tail, most_rows: int) -> Any:
    shape = shape_of(tensor, what)
    if len(shape) > 2 or shape[1:] not in ([], [1]):
        raise Unanswerable(422, f"{what}: its shape must be [rows] or [rows, 1]")
    if shape[0] > most_rows:
        check_rows(shape[0], most_rows)
    return values_of(tensor, shape, what, tail)
