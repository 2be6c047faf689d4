"""Requests that are made to take memory, each as large as it may be; and the largest that honest people send."""

import gzip
import json
import struct
from dataclasses import dataclass, field

from deployments.serving.request_limits import Limits
from tests.hostile.bodies import BYTES, CSV, INFER, JSON, MLFLOW

_SIZE = Limits().body_bytes - 200
_ROWS = Limits().rows
_SPLIT = b'{"dataframe_split":{"columns":["distance","hour","carrier"],"data":['
_HEADER = b"distance,hour,carrier\n"


@dataclass(frozen=True, slots=True)
class Greedy:
    """One request."""

    path: str
    kind: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def compressed(self) -> "Greedy":
        """The same in few bytes."""
        return Greedy(self.path, self.kind, gzip.compress(self.body, 1), self.headers | {"content-encoding": "gzip"})

    def raw(self) -> bytes:
        """As it goes over the wire."""
        named = {"host": "x", "content-type": self.kind, "content-length": str(len(self.body))} | self.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body


def greedy_bodies() -> dict[str, Greedy]:
    """By a word for each kind."""
    forms = {
        "lists": _filled(b"[]"),
        "rows of one": _filled(b"[1]"),
        "objects": _filled(b"{}"),
        "objects of one": _filled(b'{"a":1}'),
        "digits": _filled(b"1"),
        "numbers": _filled(b"1.5"),
        "long numbers": _filled(b"123456.789"),
        "numbers beyond 64 bits": _filled(b"9" * 30),
        "tiny texts": _filled(b'"ab"'),
        "emoji": _filled('"😀"'.encode()),
        "texts that one emoji makes wide": _filled(('"' + "a" * 20 + '😀"').encode()),
        "escapes": _filled(rb'"\ud83d\ude00aaaa"'),
        "a long text": b'{"instances":[[1,2,"' + b"a" * (_SIZE - 100) + '😀"]]}'.encode(),
        "deep lists": _filled(b"[" * 500 + b"]" * 500),
        "deep objects": _filled(b'{"a":' * 300 + b"1" + b"}" * 300),
        "too deep": b'{"instances":' + b"[" * (_SIZE // 2) + b"]" * (_SIZE // 2) + b"}",
        "the same key": b'{"instances":[{' + b",".join([b'"a":1'] * (_SIZE // 7)) + b"}]}",
        "many keys": b'{"instances":[{' + b",".join(b'"%06x":1' % n for n in range(_SIZE // 12)) + b"}]}",
        "a key of its own a row": b'{"dataframe_records":['
        + b",".join(b'{"%x":1}' % n for n in range(500_000))
        + b"]}",
        "NaN": _filled(b'"NaN"', end=b",NaN]}"),
        "rows": _filled(b'[1.5,2,"UA"]', _SPLIT, b"]}}"),
        "rows of wide texts": _filled(('[1.5,2,"%s"]' % ("a" * 60 + "😀")).encode(), _SPLIT, b"]}}"),
        "records": _filled(b'{"distance":1.5,"hour":5,"carrier":"UA"}', b'{"dataframe_records":['),
    }
    tables = {
        "CSV rows": _HEADER + b"1,2,ab\n" * _ROWS,
        "CSV rows of wide texts": _HEADER + ("1,2," + "a" * 70 + "😀\n").encode() * _ROWS,
        "CSV header": b",".join([b"ab"] * (_SIZE // 3)),
        "CSV commas": _HEADER + b"," * (_SIZE - 100),
        "CSV lines": b"distance\n" + b"\n" * (_SIZE - 100),
        "CSV field": _HEADER + b"1,2," + b"x" * (_SIZE - 100),
    }
    tensors = {
        "V2 digits": b'{"inputs":[{"name":"distance","datatype":"FP64","shape":[9],"data":['
        + b"1," * 4_000_000
        + b"1]}]}",
        "V2 tensors": b'{"inputs":['
        + b",".join([b'{"name":"hour","shape":[1],"data":[1],"datatype":"FP64"}'] * (_SIZE // 58))
        + b"]}",
    }
    few, many = (_SIZE - 500) // 6, _SIZE - 500
    return (
        {name: Greedy(MLFLOW, JSON, body) for name, body in forms.items()}
        | {name: Greedy(MLFLOW, CSV, body) for name, body in tables.items()}
        | {name: Greedy(INFER, JSON, body) for name, body in tensors.items()}
        | {
            "V2 texts in bytes": _bytes("carrier", "BYTES", few, struct.pack("<I", 2) + b"ab"),
            "V2 booleans in bytes": _bytes("distance", "BOOL", many, b"\1"),
        }
    )


def _filled(piece: bytes, begin: bytes = b'{"instances":[', end: bytes = b"]}") -> bytes:
    """As many pieces as a body may have, or as it may have rows if they are rows of the model."""
    most = (_SIZE - len(begin) - len(end)) // (len(piece) + 1)
    return begin + b",".join([piece] * (min(most, _ROWS) if b"dataframe" in begin else most)) + end


def _bytes(name: str, datatype: str, count: int, each: bytes) -> Greedy:
    size = {"binary_data_size": count * len(each)}
    tensor = {"name": name, "datatype": datatype, "shape": [count], "parameters": size}
    content = json.dumps({"inputs": [tensor]}).encode()
    length = {"inference-header-content-length": str(len(content))}
    return Greedy(INFER, BYTES, content + each * count, length)
