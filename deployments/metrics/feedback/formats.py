"""The forms in which feedback may be written: JSON, lines of JSON, CSV; all become what JSON would have said."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import orjson

from deployments.metrics.class_labels import LABEL

JSON: Final = "application/json"
_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_CSV = "text/csv"
# None of these can a web page of another origin send without asking first.
TAKEN: Final = (JSON, *_LINES, _CSV)
# How programs write a whole number in a column that may hold others.
_WHOLE = re.compile(r"(-?[0-9]+)\.0+")
# Python's `float` takes more: digits of other scripts, `1_000`, blanks around.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


class BadlyWritten(ValueError):
    """It cannot be read at all; `place` is where."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


def kind_of(content_type: str) -> str | None:
    """Which of `TAKEN` a content type is; None for any other, and for none at all."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind if kind in TAKEN else None


def items_in(body: bytes, kind: str, most: int) -> Any:
    """A list of items, or a single one, as `kind` says. Of lines and rows no more than one beyond `most` is read."""
    if kind in _LINES:
        return [_json(line, f"[{number}]") for number, line in enumerate(islice(_lines(body), most + 1))]
    return list(islice(_rows(body), most + 1)) if kind == _CSV else _json(body, "")


def _lines(body: bytes) -> Iterator[bytes]:
    return (line for line in io.BytesIO(body) if line.strip())


def _json(text: bytes, place: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadlyWritten(f"it is not JSON (at character {error.pos})", place) from None


def _rows(body: bytes) -> Iterator[dict[str, Any]]:
    try:
        text = body.decode("utf-8-sig")
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = [name for name in table.fieldnames or () if name]
        if len(set(names)) < len(names):
            raise BadlyWritten("its header names a column twice")
        for number, row in enumerate(table):
            if None in row or None in row.values():
                raise BadlyWritten("the row has another number of cells than the header", f"[{number}]")
            yield {name: _cell(name, cell, row.get("metric")) for name, cell in row.items() if cell}
    except UnicodeDecodeError as error:
        raise BadlyWritten(f"it is not UTF-8 text (byte {error.start})") from None
    except csv.Error:
        raise BadlyWritten("it is not CSV with a header") from None


def _cell(name: str, cell: str, metric: str | None) -> Any:
    if name == "version" and cell.isascii() and cell.isdecimal() and len(cell) < 19:
        return int(cell)
    if name != "value":
        return cell
    if metric == LABEL:
        whole = _WHOLE.fullmatch(cell)
        return whole[1] if whole else cell
    return float(cell) if _NUMBER.fullmatch(cell.strip(" \t")) else cell
