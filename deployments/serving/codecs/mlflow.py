"""What MLflow's scoring server takes at /invocations: JSON in four forms, CSV, and its form of an answer."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import orjson

from deployments.plurals import counted
from deployments.serving.codecs.content_decoding import CSV, JSON, check_size, media_type, parsed_with_nan, unpacked
from deployments.serving.codecs.csv_rows import columns_of_csv
from deployments.serving.inference_request import Answers, Headers, Query, Wanted, Written, written_as_json
from deployments.serving.input_validation import Columns, Unanswerable, batch_of, is_list_of, matrix_of, missing
from deployments.serving.memory_budget import csv_takes
from deployments.serving.model_metadata import Description, Feature
from deployments.serving.request_limits import Limits

_HEADERS = [(b"content-type", JSON)]
_ERROR_CODES = {404: "ENDPOINT_NOT_FOUND", 422: "INVALID_PARAMETER_VALUE", 503: "TEMPORARILY_UNAVAILABLE"}


class MlflowDialect:
    """The dialect of one model: see `deployments.serving.inference_request.Dialect`."""

    def __init__(self, description: Description, limits: Limits) -> None:
        self._features = description.features
        self._limits = limits
        self._wanted = (Wanted(description.output),)
        self._names = [feature.name for feature in description.features]
        self._only_numbers = description.only_numbers

    def read(self, headers: Headers, body: bytes) -> Query:
        """See `Dialect`."""
        kind, parameters = media_type(headers)
        if kind not in {JSON, CSV, b""} or parameters:
            raise Unanswerable(415, "send the request as application/json or text/csv, with no parameter but charset")
        plain = unpacked(headers, body, self._limits.body_bytes)
        if kind == CSV:
            check_size(plain, csv_takes)
            return self._query(columns_of_csv(plain, self._features, self._limits.rows))
        return self.question_in(parsed_with_nan(plain))

    def question_in(self, document: Any) -> Query:
        """The question in a JSON document that is parsed already. Raises `Unanswerable`."""
        if self._only_numbers and (rows := self._plain_rows(document)):
            batch = matrix_of(rows, self._features, self._limits)
            if batch is not None:
                return Query(batch, self._wanted)
        return self._query(columns_of_mlflow(document, self._features))

    def write(self, query: Query, answers: Answers, request_id: str) -> Written:
        """See `Dialect`: `{"predictions": […]}`."""
        del request_id
        return _HEADERS, written_as_json({"predictions": answers[query.wanted[0].output]})

    def refuse(self, status: int, message: str, request_id: str) -> bytes:
        """See `Dialect`: MLflow's `error_code` and `message`, and what all our refusals have."""
        code = _ERROR_CODES.get(status, "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR")
        refusal = {"error_code": code, "message": message, "error": message, "request_id": request_id}
        return orjson.dumps(refusal)

    def _plain_rows(self, document: Any) -> Any:
        """The rows of a `dataframe_split` with the columns of the model in their order; None for another document."""
        match document:
            case {"dataframe_split": {"columns": names, "data": [[*_], *_] as rows}} if names == self._names:
                return rows if len(document) == 1 else None
        return None

    def _query(self, columns: Columns) -> Query:
        return Query(batch_of(columns, self._features, self._limits), self._wanted)


def columns_of_mlflow(document: Any, features: Sequence[Feature]) -> Columns:
    """Columns of a request in one of MLflow's four forms; whatever else is in it is ignored, `params` too.

    Raises `Unanswerable`.
    """
    if not isinstance(document, dict) or len(forms := [form for form in _FORMS if form in document]) != 1:
        raise Unanswerable(400, f"send a JSON object with exactly one of {', '.join(_FORMS)}")
    return _FORMS[forms[0]](document[forms[0]], features)


def _from_split(split: Any, _: Sequence[Feature]) -> Columns:
    names: Any = split.get("columns") if isinstance(split, dict) else None
    rows: Any = split.get("data") if isinstance(split, dict) else None
    if not is_list_of(str, names) or not is_list_of(list, rows):
        raise Unanswerable(400, "dataframe_split needs `columns`, a list of names, and `data`, a list of rows")
    return _transposed(names, rows)


def _from_records(records: Any, features: Sequence[Feature]) -> Columns:
    if not is_list_of(dict, records):
        raise Unanswerable(400, "dataframe_records needs a list of objects, one a row")
    return _by_name(records, features)


def _from_tensors(tensors: Any, features: Sequence[Feature]) -> Columns:
    if isinstance(tensors, dict):
        return _from_columns(tensors, features)
    if is_list_of(list, tensors):
        return _transposed([feature.name for feature in features], tensors)
    if is_list_of(dict, tensors):
        return _by_name(tensors, features)
    if len(features) == 1 and isinstance(tensors, list):
        return {features[0].name: tensors}
    raise Unanswerable(400, "instances and inputs need a list of objects or of lists, one a row, or a list a column")


def _from_columns(columns: Mapping[str, Any], features: Sequence[Feature]) -> Columns:
    """A list of values a column; or, in MLflow's way to ask about one row, a value a column."""
    given = [feature.name for feature in features if feature.name in columns]
    if not any(isinstance(columns[name], list | dict) for name in given):
        return {name: [value] for name, value in columns.items()}
    for name in given:
        if not isinstance(columns[name], list):
            raise Unanswerable(400, f"column {name!r} needs a list of values, one a row")
    return columns


_FORMS: dict[str, Callable[[Any, Sequence[Feature]], Columns]] = {
    "dataframe_split": _from_split,
    "dataframe_records": _from_records,
    "instances": _from_tensors,
    "inputs": _from_tensors,
}


def _by_name(records: Sequence[Mapping[str, Any]], features: Sequence[Feature]) -> Columns:
    """Columns that the model does not take have no values: what matters is that they are there."""
    columns: dict[str, Sequence[Any]] = {feature.name: _values_in(records, feature) for feature in features}
    return columns | dict.fromkeys(set().union(*records).difference(columns), ())


def _values_in(records: Sequence[Mapping[str, Any]], feature: Feature) -> Sequence[Any]:
    try:
        return list(map(itemgetter(feature.name), records))
    except KeyError:
        if feature.required:
            raise missing(feature) from None
        return [record.get(feature.name) for record in records]


def _transposed(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Columns:
    if len(set(names)) != len(names):
        raise Unanswerable(422, "a column name is given twice")
    if set(map(len, rows)) - {len(names)}:
        number = next(number for number, row in enumerate(rows) if len(row) != len(names))
        raise Unanswerable(
            422, f"row {number} has {counted(len(rows[number]), 'value')} for {counted(len(names), 'column')}"
        )
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
