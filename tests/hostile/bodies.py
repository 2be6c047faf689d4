"""Requests that are wrong in every way that a seed can think of, around values that nobody else may ever read."""

import copy
import gzip
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Planted wherever a request has data; in no answer, and in no line of the log.
MARK = "s3cret-Kd7qXw"
MARK_NUMBER = 86753.0917342
SECRETS = (MARK.encode(), b"86753.09", b"8.675309")

MLFLOW, INFER = "/invocations", "/v2/models/flights/infer"
JSON, CSV, BYTES = "application/json", "text/csv", "application/octet-stream"
_NAMES = ("distance", "hour", "carrier")
_TOKENS = (
    b"NaN", b"Infinity", b"-", b"null", b"1e999", b"-0", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800",
    b",", b":", b"\x00", b"\xff\xfe", b"\xc3\x28", b"\xef\xbb\xbf", b"\r\n", b"0" * 400, b"9" * 25, b"[" * 1500,
    b"true",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, "", MARK, MARK * 200, "7", "\x00", "\u202e", [], {}, [MARK], {"a": MARK_NUMBER},
    [[MARK_NUMBER]], 0, -1, 2**31, 2**63, 2**64 - 1, 10**30, 1e308, -1e308, 5e-324, MARK_NUMBER, -MARK_NUMBER,
)  # fmt: skip


@dataclass(slots=True)
class Case:
    """One request; `kind` is a word for what is wrong with it."""

    kind: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def case_of(chance: random.Random) -> Case:
    """The next one."""
    make = chance.choice(_KINDS)
    case = make(chance)
    if chance.random() < 0.15:
        _strange_headers(case, chance)
    return case


def _broken_json(chance: random.Random) -> Case:
    case = _strange_values(chance)
    return Case("broken JSON", case.path, mutated(case.body, chance), case.headers)


def _strange_values(chance: random.Random) -> Case:
    path, document = _mlflow(chance) if chance.random() < 0.5 else _tensors(chance)
    for _ in range(chance.randrange(4)):
        _change_somewhere(document, chance)
    return Case("strange values", path, json.dumps(document).encode(), {"content-type": JSON})


def _csv(chance: random.Random) -> Case:
    names = list(_NAMES) + ["other"] * (chance.random() < 0.2)
    chance.shuffle(names)
    rows = [[str(_cell(name, chance)) for name in names] for _ in range(_few(chance))]
    body = "\r\n".join(",".join(row) for row in [names, *rows]).encode()
    return Case("CSV", MLFLOW, mutated(body, chance), {"content-type": CSV})


def _packed(chance: random.Random) -> Case:
    plain = _strange_values(chance)
    body, coding = (
        plain.body * chance.choice((1, 1, 1, 200)),
        chance.choice(("gzip", "deflate", "br", "gzip, gzip", "")),
    )
    body = gzip.compress(body, mtime=0) if chance.random() < 0.6 else zlib.compress(body)
    if chance.random() < 0.05:
        body = gzip.compress(b"0" * 30_000_000, 1, mtime=0)
    body = mutated(body, chance) if chance.random() < 0.7 else body + body
    return Case("packed", plain.path, body, plain.headers | {"content-encoding": coding})


def _binary(chance: random.Random) -> Case:
    rows = _few(chance)
    tails = {
        "distance": struct.pack(f"<{rows}d", *[MARK_NUMBER] * rows),
        "hour": struct.pack(f"<{rows}e", *[chance.choice((5.0, float("nan"), float("inf")))] * rows),
        "carrier": (struct.pack("<I", len(MARK)) + MARK.encode()) * rows,
    }
    inputs = [
        {"name": name, "datatype": kind, "shape": [rows], "parameters": {"binary_data_size": len(tails[name])}}
        for name, kind in zip(_NAMES, ("FP64", "FP16", "BYTES"), strict=True)
    ]
    document = {"inputs": inputs, "parameters": {"binary_data_output": chance.random() < 0.5}}
    for _ in range(chance.randrange(3)):
        _change_somewhere(document, chance)
    content = json.dumps(document).encode()
    length = str(len(content) + chance.choice((0, 0, 0, 1, -1, 10**20)))
    tail = b"".join(tails.values())
    body = content + (mutated(tail, chance) if chance.random() < 0.5 else tail)
    headers = {"content-type": BYTES, "inference-header-content-length": length}
    return Case("bytes", INFER, body, headers)


def _large(chance: random.Random) -> Case:
    count = chance.randrange(1_000, 400_000)
    match chance.randrange(7):
        case 0:
            body = b'{"dataframe_records": [' + b"{}," * count + b"{}]}"
        case 1:
            body = b'{"instances": [' + b"[]," * count + b"[]]}"
        case 2:
            return Case("large", MLFLOW, b"distance\n" + b"1\n" * (4 * count), {"content-type": CSV})
        case 3:
            body = b'{"instances": ' + b"[" * count
        case 4:
            body = json.dumps({"inputs": {name: [MARK * 1000, *[1] * count] for name in _NAMES}}).encode()
        case 5:
            body = b"[" + b"\\" * count + b'"NaN' * count
        case _:
            tensor = {"datatype": "FP64", "shape": [count + 1], "data": [MARK * 1000, *[1] * count]}
            inputs = [tensor | {"name": name} for name in _NAMES]
            return Case("large", INFER, json.dumps({"inputs": inputs}).encode(), {"content-type": JSON})
    return Case("large", MLFLOW, body, {"content-type": JSON})


def _noise(chance: random.Random) -> Case:
    body = chance.randbytes(chance.choice((0, 1, 7, 100, 5_000)))
    return Case("noise", chance.choice((MLFLOW, INFER)), body, {"content-type": chance.choice((JSON, CSV, BYTES, ""))})


# Half of them are near to what is right.
_KINDS: tuple[Callable[[random.Random], Case], ...] = (
    *(_strange_values,) * 60, *(_broken_json,) * 50, *(_csv,) * 30, *(_packed,) * 24, *(_binary,) * 28, *(_noise,) * 6,
    _large,
)  # fmt: skip


def mutated(content: bytes, chance: random.Random) -> bytes:
    """With up to four wounds."""
    body = bytearray(content)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(6):
            case 0:
                del body[at:]
            case 1:
                del body[at : at + chance.randrange(1, 20)]
            case 2:
                body[at:at] = chance.choice(_TOKENS)
            case 3:
                body[at : at + 1] = chance.randbytes(1)
            case 4:
                body[at:at] = body[at : at + 50]
            case _:
                body[at : at + 3] = chance.choice(_TOKENS)
    return bytes(body)


def _few(chance: random.Random) -> int:
    return chance.choice((0, 1, 1, 2, 3, 33, 300))


def _cell(name: str, chance: random.Random) -> Any:
    if chance.random() < 0.1:
        return chance.choice(_VALUES)
    return MARK if name == "carrier" else MARK_NUMBER


def _mlflow(chance: random.Random) -> tuple[str, Any]:
    rows = [[_cell(name, chance) for name in _NAMES] for _ in range(_few(chance))]
    records = [dict(zip(_NAMES, row, strict=True)) for row in rows]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(_NAMES)}
    forms: tuple[Any, ...] = (
        {"dataframe_split": {"columns": list(_NAMES), "data": rows}},
        {"dataframe_records": records},
        {"instances": rows},
        {"inputs": columns},
        {"inputs": records, "params": {"a": MARK}},
    )
    return MLFLOW, chance.choice(forms)


def _tensors(chance: random.Random) -> tuple[str, Any]:
    rows = _few(chance)
    inputs = [
        {
            "name": name,
            "datatype": chance.choice(("FP64", "INT64", "BOOL")) if chance.random() < 0.2 else kind,
            "shape": [rows] if chance.random() < 0.8 else [rows, 1],
            "data": [_cell(name, chance) for _ in range(rows)],
        }
        for name, kind in zip(_NAMES, ("FP64", "FP32", "BYTES"), strict=True)
    ]
    return INFER, {"inputs": inputs, "outputs": [{"name": chance.choice(("probability", "prediction"))}]}


def _change_somewhere(document: Any, chance: random.Random) -> None:
    """Replaces, removes or repeats something, at whatever depth."""
    places = list(_places(document))
    if not places:
        return
    holder, key = chance.choice(places)
    match chance.randrange(3):
        case 0:
            holder[key] = copy.deepcopy(chance.choice(_VALUES))
        case 1:
            del holder[key]
        case _ if isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        case _:
            holder[f"{key}2"] = copy.deepcopy(holder[key])


def _places(document: Any) -> Any:
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from _places(document[key])


def _strange_headers(case: Case, chance: random.Random) -> None:
    name, value = chance.choice(
        (
            ("content-type", "application/json; charset=utf-16"),
            ("content-type", "application/json;;;=;charset"),
            ("content-type", "multipart/form-data; boundary=x"),
            ("content-type", "text/csv; header=absent"),
            ("content-encoding", "identity"),
            ("content-encoding", "gzip"),
            ("inference-header-content-length", "-1"),
            ("inference-header-content-length", "9" * 30),
            ("x-request-id", "a b"),
            ("x-request-id", "x" * 1_000),
            ("x-seatrial-mirrored", "1"),
            ("x-seatrial-key", MARK),
            ("traceparent", "00-" + "0" * 32 + "-" + "f" * 16 + "-zz"),
            ("accept", "image/png"),
            ("expect", "100-continue"),
        )
    )
    case.headers[name] = value


def names_in(body: bytes) -> str:
    """Everything in a JSON body that stands where names do: what a refusal may say again."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return json.dumps(list(_names(document)))


def _names(document: Any) -> Any:
    if isinstance(document, dict):
        yield from document
        yield document.get("name")
        yield document.get("columns")
    for each in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from _names(each)
