"""Requests in, one frame out: the two JSON dialects a caller may speak, and what is wrong with a request.

MLflow's (`dataframe_split`, `dataframe_records`, `instances`, `inputs`) and that of the Open Inference Protocol V2 (one
tensor a column). A refusal names the column, never what the caller sent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployments.errors import BadInput
from deployments.serving.batch import Batch
from deployments.serving.description import Feature, Kind

Columns = Mapping[str, Sequence[Any]]

_ABSENT = object()
_NUMBERS = frozenset({int, float, bool, type(None)})
_TEXT = frozenset({str, type(None)})
_DATATYPES = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
    "string": "BYTES",
}
_TENSOR_TYPES = {*_DATATYPES.values(), "INT8", "INT16", "UINT8", "UINT16", "UINT32", "UINT64"}


class Unanswerable(BadInput):
    """The request cannot be answered; `status` is the HTTP code that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def columns_of_mlflow(document: Any, features: Sequence[Feature]) -> Columns:
    """Columns of a request in one of MLflow's four forms. Raises `Unanswerable`."""
    if not isinstance(document, dict) or len(forms := [form for form in _FORMS if form in document]) != 1:
        raise Unanswerable(400, f"send a JSON object with exactly one of {', '.join(_FORMS)}")
    return _FORMS[forms[0]](document[forms[0]], features)


def columns_of_v2(document: Any, features: Sequence[Feature]) -> Columns:
    """Columns of a V2 request: tensors of shape [n] or [n, 1], named like the features. Raises `Unanswerable`."""
    tensors = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise Unanswerable(400, "send a JSON object with `inputs`, a list of tensors, one a column")
    known = {feature.name for feature in features}
    columns: dict[str, Sequence[Any]] = {}
    for tensor in tensors:
        if tensor.get("name") in known:
            if tensor["name"] in columns:
                raise Unanswerable(422, f"column {tensor['name']!r} is given twice")
            columns[tensor["name"]] = _values_of(tensor)
    return columns


def batch_of(columns: Columns, features: Sequence[Feature], max_rows: int) -> Batch:
    """The rows that a model is asked about; columns that it does not know are left out.

    Raises `Unanswerable`: 422 for a column that is missing, too short or of another type, 413 for too many rows.
    """
    import numpy as np

    rows = _count_rows(columns, features, max_rows)
    numbers: list[Sequence[Any]] = []
    categories: list[Sequence[str | None]] = []
    for feature in features:
        values = columns[feature.name] if feature.name in columns else _when_absent(feature, rows)
        if feature.kind is Kind.NUMERIC:
            numbers.append(_numbers(feature, values))
        else:
            categories.append(_categories(feature, values))
    shape = (len(numbers), rows)
    by_row = np.ascontiguousarray(np.array(numbers, dtype=np.float64).reshape(shape).T)
    return Batch(rows, by_row, tuple(categories))


def datatype_of(feature: Feature) -> str:
    """V2 name of the type that a feature is sent as."""
    return _DATATYPES.get(feature.type, "BYTES" if feature.kind is Kind.CATEGORICAL else "FP64")


def _from_split(split: Any, _: Sequence[Feature]) -> Columns:
    names: Any = split.get("columns") if isinstance(split, dict) else None
    rows: Any = split.get("data") if isinstance(split, dict) else None
    if not _is_list_of(str, names) or not _is_list_of(list, rows):
        raise Unanswerable(400, "dataframe_split needs `columns`, a list of names, and `data`, a list of rows")
    return _transposed(names, rows)


def _from_records(records: Any, features: Sequence[Feature]) -> Columns:
    if not _is_list_of(dict, records):
        raise Unanswerable(400, "dataframe_records needs a list of objects, one a row")
    columns: dict[str, Sequence[Any]] = {}
    for feature in features:
        values = [record.get(feature.name, _ABSENT) for record in records]
        if feature.required and any(value is _ABSENT for value in values):
            raise _missing(feature)
        columns[feature.name] = [None if value is _ABSENT else value for value in values]
    return columns


def _from_instances(instances: Any, features: Sequence[Feature]) -> Columns:
    if _is_list_of(list, instances):
        return _transposed([feature.name for feature in features], instances)
    if _is_list_of(dict, instances):
        return _from_records(instances, features)
    raise Unanswerable(400, "instances needs a list of objects or of lists, one a row")


def _from_inputs(inputs: Any, features: Sequence[Feature]) -> Columns:
    if not isinstance(inputs, dict):
        return _from_instances(inputs, features)
    for feature in features:
        if feature.name in inputs and not isinstance(inputs[feature.name], list):
            raise Unanswerable(400, f"column {feature.name!r} of inputs needs a list of values, one a row")
    return {name: values for name, values in inputs.items() if isinstance(values, list)}


_FORMS: dict[str, Callable[[Any, Sequence[Feature]], Columns]] = {
    "dataframe_split": _from_split,
    "dataframe_records": _from_records,
    "instances": _from_instances,
    "inputs": _from_inputs,
}


def _transposed(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Columns:
    if len(set(names)) != len(names):
        raise Unanswerable(422, "a column name is given twice")
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise Unanswerable(422, f"row {number} has {len(row)} values for {len(names)} columns")
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())


def _values_of(tensor: Mapping[str, Any]) -> Sequence[Any]:
    name, shape, data = tensor["name"], tensor.get("shape"), tensor.get("data")
    if tensor.get("datatype") not in _TENSOR_TYPES:
        raise Unanswerable(422, f"column {name!r}: its datatype must be one of {', '.join(sorted(_TENSOR_TYPES))}")
    if not isinstance(data, list):
        raise Unanswerable(422, f"column {name!r} needs `data`, a list of values")
    if _is_list_of(list, data) and all(len(cell) == 1 for cell in data):
        data = [cell[0] for cell in data]
    if shape not in ([len(data)], [len(data), 1]):
        raise Unanswerable(422, f"column {name!r}: its shape must be [{len(data)}] or [{len(data)}, 1], as its data is")
    return data


def _count_rows(columns: Columns, features: Sequence[Feature], max_rows: int) -> int:
    lengths = {feature.name: len(columns[feature.name]) for feature in features if feature.name in columns}
    if not lengths:
        raise Unanswerable(422, f"no column of the model is there: it takes {', '.join(f.name for f in features)}")
    rows = next(iter(lengths.values()))
    for name, length in lengths.items():
        if length != rows:
            raise Unanswerable(422, f"column {name!r} has {length} values, others {rows}")
    if rows == 0:
        raise Unanswerable(422, "the request has no row")
    if rows > max_rows:
        raise Unanswerable(
            413, f"the request has {rows} rows, at most {max_rows} are answered at once: send it in parts"
        )
    return rows


def _when_absent(feature: Feature, rows: int) -> Sequence[Any]:
    if feature.required:
        raise _missing(feature)
    return [None] * rows


def _missing(feature: Feature) -> Unanswerable:
    return Unanswerable(422, f"column {feature.name!r} is missing: send null where its value is not known")


def _numbers(feature: Feature, values: Sequence[Any]) -> Sequence[Any]:
    if not set(map(type, values)) <= _NUMBERS:
        raise Unanswerable(422, f"column {feature.name!r} must hold numbers or null")
    return values


def _categories(feature: Feature, values: Sequence[Any]) -> Sequence[str | None]:
    kinds = set(map(type, values))
    if kinds <= _TEXT:
        return values
    if not kinds <= _TEXT | _NUMBERS:
        raise Unanswerable(422, f"column {feature.name!r} must hold text, numbers, true, false or null")
    return [_as_text(value) for value in values]


def _as_text(value: str | float | None) -> str | None:
    """A category as training writes it: `true`, `7` also for 7.0, `7.5`."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)
