"""JSON of strangers: one meaning or none."""

import json
import re
from typing import Any, Final

from deployments.webhooks.requests import NotTaken

DEEPEST: Final = 32
_MOST_VALUES: Final = 100_000
# A string, or a bracket outside of one.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{\]}]', re.DOTALL)


def parse_object(body: bytes) -> dict[str, Any]:
    """The object that `body` holds.

    Raises `NotTaken` for anything but UTF-8 JSON (RFC 8259), for the same name twice in an object, which two readers
    would read in two ways, for more than 32 levels, and for another value than an object.
    """
    _check_depth(body)
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise NotTaken(400, "the body is not JSON in UTF-8") from (error if isinstance(error, NotTaken) else None)
    if not isinstance(found, dict):
        raise NotTaken(400, "the body is not a JSON object")
    return found


def _check_depth(body: bytes) -> None:
    depth = 0
    for token in _TOKEN.finditer(body):
        bracket = token[0]
        if bracket in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise NotTaken(400, f"the body is nested more than {DEEPEST} deep")
        elif bracket in b"]}":
            depth -= 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotTaken(400, "the body names the same key twice in one object")
    return found


def _no_number(_: str) -> float:
    raise NotTaken(400, "the body has a number that JSON does not know (NaN or Infinity)")
