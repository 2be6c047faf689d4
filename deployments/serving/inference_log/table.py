"""Answers as an Arrow table: one row a predicted row.

Built from buffers rather than by `pyarrow.array`, which would import pandas, and that takes as much memory again.
"""

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, groupby
from math import isnan

import numpy as np
import pyarrow as pa

from deployments.inference_logs import FEATURE, HASHED
from deployments.metrics.labels import label_text
from deployments.serving.description import Description, Kind
from deployments.serving.inference_log.buffer import Logged

_HASH_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Masking:
    """Columns whose values are left out; with a `secret` a keyed hash of each stands in a column of its own."""

    columns: frozenset[str] = frozenset()
    secret: bytes | None = field(default=None, repr=False)

    def hash(self, text: str | None) -> str | None:
        """The same for the same text, and of no use to whoever has no secret."""
        if text is None or self.secret is None:
            return None
        return hmac.digest(self.secret, text.encode(), "sha256").hex()[:_HASH_CHARACTERS]


class Tables:
    """Makes record batches of answers of one model.

    `cookie` names the cookie that holds the sticky key, where the key's header is a list of cookies. A prediction is
    the label's text, of probabilities the likeliest; of a model without classes it is a number.
    """

    def __init__(self, description: Description, masking: Masking = Masking(), cookie: str | None = None) -> None:
        self._classes = np.array([label_text(label) for label in description.classes], dtype=object)
        self._masking = masking
        self._cookie = re.compile(rf"(?:.*?;\s*)?{re.escape(cookie)}=([^;]*)") if cookie else None
        self._numeric = [each.name for each in description.features if each.kind is Kind.NUMERIC]
        self._categorical = [each.name for each in description.features if each.kind is Kind.CATEGORICAL]
        self._features = [each.name for each in description.features]
        self._hashed = [name for name in self._features if masking.secret and name in masking.columns]

    def batches(self, answers: Sequence[Logged], zero: float) -> Iterator[tuple[datetime, pa.RecordBatch]]:
        """Midnight (UTC) of a day, and rows that were answered on it; in the order of `answers`.

        `zero` is the moment of zero on the monotonic clock, in seconds since 1970.
        """

        def alike(answer: Logged) -> tuple[int, int]:
            return int((zero + answer.answered) // 86_400), answer.predictions.ndim

        for (day, _), group in groupby(answers, alike):
            yield datetime.fromtimestamp(day * 86_400, UTC), self._batch(list(group), zero)

    def _batch(self, answers: Sequence[Logged], zero: float) -> pa.RecordBatch:
        columns = self._of_requests(answers, zero) | self._of_features(answers) | self._of_predictions(answers)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def _of_requests(self, answers: Sequence[Logged], zero: float) -> dict[str, pa.Array]:
        rows = np.array([answer.batch.rows for answer in answers])
        first = np.repeat(np.cumsum(rows) - rows, rows)
        moments = np.array([(zero + answer.answered) * 1e6 for answer in answers]).astype(np.int64)
        seconds = np.array([answer.seconds for answer in answers])
        return {
            "request_id": _texts([answer.request_id for answer in answers], rows),
            "row": _plain(pa.int32(), (np.arange(len(first)) - first).astype(np.int32)),
            "time": _plain(pa.timestamp("us", tz="UTC"), np.repeat(moments, rows)),
            "mirrored": _flags(np.repeat([answer.mirrored for answer in answers], rows)),
            "paired": _flags(np.repeat([answer.paired for answer in answers], rows)),
            "key": _texts([self._key(answer.key) for answer in answers], rows),
            "latency_ms": _plain(pa.float64(), np.repeat(seconds * 1000, rows)),
        }

    def _key(self, header: bytes | None) -> str | None:
        text = (header or b"").decode("utf-8", "replace")
        if self._cookie is not None:
            found = self._cookie.match(text)
            text = found[1] if found else ""
        return text or None

    def _of_features(self, answers: Sequence[Logged]) -> dict[str, pa.Array]:
        rows = sum(answer.batch.rows for answer in answers)
        numbers = np.ascontiguousarray(np.concatenate([answer.batch.numbers for answer in answers]).T)
        known = ~np.isnan(numbers)
        columns: dict[str, pa.Array] = {}
        for name, values, is_known in zip(self._numeric, numbers, known, strict=True):
            columns[name] = self._numbers(name, values, is_known)
            if name in self._hashed:
                shown = (None if isnan(number) else label_text(number) for number in values.tolist())
                columns[HASHED + name] = _texts([self._masking.hash(text) for text in shown])
        for position, name in enumerate(self._categorical):
            texts = list(chain.from_iterable(answer.batch.categories[position] for answer in answers))
            columns[name] = _texts([None] * rows if name in self._masking.columns else texts)
            if name in self._hashed:
                columns[HASHED + name] = _texts([self._masking.hash(text) for text in texts])
        features = {FEATURE + name: columns[name] for name in self._features}
        return features | {HASHED + name: columns[HASHED + name] for name in self._hashed}

    def _numbers(self, name: str, values: np.ndarray, known: np.ndarray) -> pa.Array:
        if name in self._masking.columns:
            known = np.zeros_like(known)
        elif known.all():
            return _plain(pa.float64(), values)
        return _plain(pa.float64(), np.where(known, values, 0.0), known)

    def _of_predictions(self, answers: Sequence[Logged]) -> dict[str, pa.Array]:
        rows = np.concatenate([answer.predictions for answer in answers])
        if rows.ndim == 1:
            return {
                "prediction": self._labels_or_numbers(rows),
                "scores": _lists(np.empty((len(rows), 0)), known=False),
            }
        if not len(self._classes):  # several numbers a row: none of them is the prediction
            nothing = np.zeros(len(rows))
            return {"prediction": _plain(pa.float64(), nothing, nothing > 0), "scores": _lists(rows.astype(np.float64))}
        labels = self._classes[rows.argmax(axis=1)].tolist()
        return {"prediction": _texts(labels), "scores": _lists(rows.astype(np.float64))}

    def _labels_or_numbers(self, rows: np.ndarray) -> pa.Array:
        if len(self._classes) or rows.dtype.kind not in "fiu":
            return _texts([label_text(label) for label in rows.tolist()])
        return _plain(pa.float64(), rows.astype(np.float64))


def _plain(kind: pa.DataType, values: np.ndarray, known: np.ndarray | None = None) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [_bits(known), pa.py_buffer(np.ascontiguousarray(values))])


def _flags(values: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def _texts(texts: Sequence[str | None], repeats: np.ndarray | None = None) -> pa.Array:
    """Each text, one after the other as often as `repeats` says."""
    known = None if None not in texts else np.array([text is not None for text in texts])
    filled: Sequence[str] = [text or "" for text in texts] if known is not None else texts  # type: ignore[assignment]
    each = [text.encode() for text in filled]
    lengths = np.fromiter(map(len, each), np.int32, len(each))
    if repeats is not None:
        each = [text * number for text, number in zip(each, repeats.tolist(), strict=True)]
        lengths, known = np.repeat(lengths, repeats), None if known is None else np.repeat(known, repeats)
    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    return pa.Array.from_buffers(
        pa.string(), len(lengths), [_bits(known), pa.py_buffer(ends), pa.py_buffer(b"".join(each))]
    )


def _lists(values: np.ndarray, known: bool = True) -> pa.Array:
    """A list a row of an array of shape (rows, width); nulls if none is known."""
    rows, width = values.shape
    ends = pa.py_buffer(np.arange(rows + 1, dtype=np.int32) * np.int32(width))
    flat = _plain(pa.float64(), values.reshape(-1))
    nulls = None if known else _bits(np.zeros(rows, dtype=bool))
    return pa.Array.from_buffers(pa.list_(pa.float64()), rows, [nulls, ends], children=[flat])


def _bits(flags: np.ndarray | None) -> pa.Buffer | None:
    return None if flags is None else pa.py_buffer(np.packbits(flags, bitorder="little"))
