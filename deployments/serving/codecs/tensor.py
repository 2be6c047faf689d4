"""One tensor of a V2 request: its shape, its type, and its values in a row, from JSON or from the bytes after it."""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from deployments.plurals import counted
from deployments.serving.codecs.binary_tensors import Tail, values_in
from deployments.serving.input_validation import Unanswerable, array_of_numbers, is_list_of

_WHOLE = frozenset({int, type(None)})
_REAL = frozenset({int, float, bool, type(None)})
_TYPES = {
    "BOOL": frozenset({bool, int, type(None)}),
    "BYTES": frozenset({str, type(None)}),
    **dict.fromkeys(("FP16", "FP32", "FP64"), _REAL),
    **dict.fromkeys((f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)), _WHOLE),
}
_FLOATS = frozenset({"FP16", "FP32", "FP64"})
_MANY = 8  # values from which an array is quicker than a list
_NOTHING: Mapping[str, Any] = {}


def parameters_of(part: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """The parameters of a request, an input or an output. Raises `Unanswerable`, 400."""
    parameters = part.get("parameters")
    if parameters is None:
        return _NOTHING
    if not isinstance(parameters, dict):
        raise Unanswerable(400, f"`parameters` of {what} must be a JSON object")
    return parameters


def shape_of(tensor: Mapping[str, Any], what: str) -> list[int]:
    """The shape of a tensor, of at least one number. Raises `Unanswerable`, 422."""
    shape = tensor.get("shape")
    if not isinstance(shape, list) or set(map(type, shape)) != {int} or min(shape) < 0:
        raise Unanswerable(422, f"{what} needs `shape`, a list of whole numbers")
    return shape


def values_of(tensor: Mapping[str, Any], shape: Sequence[int], what: str, tail: Tail) -> Sequence[Any] | np.ndarray:
    """As many values as `shape` says, of the type that the tensor's datatype says.

    Raises `Unanswerable`: 422, or 400 for bytes that are not there.
    """
    datatype, parameters = tensor.get("datatype"), parameters_of(tensor, what)
    if not isinstance(datatype, str) or datatype not in _TYPES:
        raise Unanswerable(422, f"{what}: its datatype must be one of {', '.join(sorted(_TYPES))}")
    if "shared_memory_region" in parameters:
        raise Unanswerable(422, f"{what}: shared memory is not offered")
    if "binary_data_size" not in parameters:
        return _json_values(tensor.get("data"), datatype, shape, what)
    size = parameters["binary_data_size"]
    if type(size) is not int or size < 0 or "data" in tensor:
        raise Unanswerable(400, f"{what}: give its `binary_data_size` in bytes, or else its `data`")
    content, count = tail.take(size), prod(shape)
    tail.make(datatype, count, content)
    return values_in(content, datatype, count, what)


def _json_values(data: Any, datatype: str, shape: Sequence[int], what: str) -> Sequence[Any] | np.ndarray:
    if not isinstance(data, list):
        raise Unanswerable(422, f"{what} needs `data`, a list of values")
    if datatype in _FLOATS and len(data) >= _MANY and (plain := _plain_numbers(data, shape)) is not None:
        return plain
    values = data
    if data and isinstance(data[0], list):
        if not is_list_of(list, data) or len(data) != shape[0] or len(set(map(len, data))) != 1:
            raise Unanswerable(422, f"{what}: its data must be a list of values, or of equally long lists, one a row")
        values = list(chain.from_iterable(data))
    if len(values) != prod(shape):
        raise Unanswerable(422, f"{what}: its shape says {counted(prod(shape), 'value')}, its data hold {len(values)}")
    if not set(map(type, values)) <= _TYPES[datatype] and not (_TYPES[datatype] is _WHOLE and _are_whole(values)):
        raise Unanswerable(422, f"{what}: its data are not all {datatype}, as its datatype says, or null")
    return values


def _plain_numbers(data: Sequence[Any], shape: Sequence[int]) -> "np.ndarray | None":
    """All of `data` in one go; None unless they are nothing but numbers, as many as `shape` says."""
    values = array_of_numbers(data)
    if values is None or values.size != prod(shape) or values.shape not in {(values.size,), tuple(shape)}:
        return None
    return values.ravel()


def _are_whole(values: Sequence[Any]) -> bool:
    """Whether they are whole numbers or null, some written like 5.0, which JSON counts as whole."""
    return all(type(value) in _WHOLE or (type(value) is float and value.is_integer()) for value in values)
