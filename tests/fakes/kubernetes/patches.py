"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386), and a strategic merge patch that merges keyed lists by key."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from .fields import merged
from .kinds import Json, Kind
from .refusals import Refused, bad_request, status, unsupported_patch

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def patched(kind: Kind, thing: Json, patch: Any, content_type: str) -> Json:
    """`thing` after the patch; it is left as it is. Raises `Refused` if the patch is of no use."""
    if content_type == JSON_PATCH:
        return _json_patched(thing, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}")
    if content_type == MERGE_PATCH:
        return _object(_merge_patched(thing, patch))
    if content_type == STRATEGIC_PATCH and not kind.custom:
        return _object(_strategically_patched(kind, thing, patch))
    raise unsupported_patch(kind, accepted_patches(kind))


def accepted_patches(kind: Kind) -> list[str]:
    """The content types that this kind can be patched with."""
    strategic = [] if kind.custom else [STRATEGIC_PATCH]
    return [JSON_PATCH, MERGE_PATCH, *strategic, APPLY_PATCH]


def _object(value: Any) -> Json:
    patched_object: Json = value
    return patched_object


def _merge_patched(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_patched(result.get(key), value)
    return result


def _strategically_patched(kind: Kind, target: Any, patch: Any, name: str = "") -> Any:
    """Without the `$patch` directives, which nothing here sends."""
    if not isinstance(patch, dict):
        return merged(kind, target, patch, name)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _strategically_patched(kind, result.get(key), value, key)
    return result


def _json_patched(thing: Json, patch: Any) -> Json:
    if not isinstance(patch, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    result: Any = {"": deepcopy(thing)}
    for step in patch:
        try:
            operation = OPERATIONS[step["op"]]
            operation(result, step)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise _unprocessable() from error
    return _object(result[""])


def _unprocessable() -> Refused:
    """A patch that does not fit; the real server does not say why either."""
    return Refused(status(422, "Invalid", "the server rejected our request due to an error in our request", {}))


def _place(document: Any, pointer: str) -> tuple[Any, Any]:
    """The container that the pointer (RFC 6901) leads into, and the key in it."""
    *parents, last = [""] + [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    container = document
    for part in parents:
        container = container[int(part)] if isinstance(container, list) else container[part]
    if isinstance(container, list) and last != "-":
        return container, int(last)
    return container, last


def _add(document: Any, step: Json) -> None:
    _put(document, step["path"], step["value"])


def _put(document: Any, pointer: str, value: Any) -> None:
    container, key = _place(document, pointer)
    if not isinstance(container, list):
        container[key] = value
    elif key == "-":
        container.append(value)
    elif key <= len(container):
        container.insert(key, value)
    else:
        raise IndexError(f"index {key} is out of bounds")


def _remove(document: Any, step: Json) -> None:
    container, key = _place(document, step["path"])
    del container[key]


def _replace(document: Any, step: Json) -> None:
    container, key = _place(document, step["path"])
    del container[key]
    _put(document, step["path"], step["value"])


def _test(document: Any, step: Json) -> None:
    container, key = _place(document, step["path"])
    if container[key] != step["value"]:
        raise ValueError(f"testing value {step['path']} failed")


def _copy(document: Any, step: Json) -> None:
    container, key = _place(document, step["from"])
    _put(document, step["path"], deepcopy(container[key]))


def _move(document: Any, step: Json) -> None:
    container, key = _place(document, step["from"])
    _put(document, step["path"], container.pop(key))


OPERATIONS: dict[str, Callable[[Any, Json], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "test": _test,
    "copy": _copy,
    "move": _move,
}
