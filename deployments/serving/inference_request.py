"""What stands between a dialect and a model: a question about rows, and what the model says of them.

A dialect knows bytes and headers, and nothing of sockets; a model knows rows, and nothing of bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson

from deployments.serving.model_metadata import Output
from deployments.serving.row_batch import Batch

# Of a request, with names in lower case.
Headers = Mapping[bytes, bytes]
# Of an answer.
Written = tuple[list[tuple[bytes, bytes]], bytes]
# One entry a row: a class or number, shape (rows,), or the probabilities of the classes, shape (rows, classes).
Answers = Mapping[Output, "np.ndarray[Any, Any]"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that the caller wants, as bytes after the JSON if `binary`."""

    output: Output
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """Rows, and what is wanted of each, at least one output. `id` is the caller's own name for the request."""

    batch: Batch
    wanted: tuple[Wanted, ...]
    id: str | None = None


class Dialect(Protocol):
    """A way to ask for predictions over HTTP."""

    def read(self, headers: Headers, body: bytes) -> Query:
        """The question that a request asks. Raises `Unanswerable`."""

    def write(self, query: Query, answers: Answers, request_id: str) -> Written:
        """Headers and body of the answer; `answers` has what `query` wants."""

    def refuse(self, status: int, message: str, request_id: str) -> bytes:
        """Body of an answer with an HTTP code from 400 on; it is JSON."""


def written_as_json(document: Any) -> bytes:
    """JSON of a document that holds answers."""
    return orjson.dumps(document, default=_listed, option=orjson.OPT_SERIALIZE_NUMPY)


def _listed(values: "np.ndarray[Any, Any]") -> list[Any]:
    """What orjson cannot write by itself: arrays of texts, and arrays in pieces."""
    listed: list[Any] = values.tolist()
    return listed
