"""Answers as an Arrow table: one row a predicted row.

In two steps, for the server answers requests meanwhile: compact blocks of a few answers, soon after they were given,
and one table of many blocks when a part is due. Built from buffers rather than by `pyarrow.array`, which would import
pandas, and that takes as much memory again.
"""

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, groupby
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa

from deployments.inference_log_reader import FEATURE, HASHED
from deployments.metrics.class_labels import label_text
from deployments.serving.inference_log.arrow_strings import Texts, Vocabulary, bits, texts_of
from deployments.serving.inference_log.buffer import LONGEST_KEY, Logged
from deployments.serving.model_metadata import Description, Kind
from deployments.serving.unknown_categories import columns_unknown

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


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows, column by column.

    `numbers` are the numeric features, shape (features, rows); there and in float columns NaN is null. `scores` have
    shape (rows, scores), or (rows, 0) where no answer has any.
    """

    rows: int
    columns: Mapping[str, "Texts | np.ndarray[Any, Any]"]
    numbers: "np.ndarray[Any, Any]"
    scores: "np.ndarray[Any, Any]"

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.numbers.nbytes + self.scores.nbytes + sum(column.nbytes for column in self.columns.values())


class Tables:
    """Makes tables of answers of one model.

    `cookie` names the cookie that holds the sticky key, where the key's header is a list of cookies. A prediction is
    the label's text, of probabilities the likeliest; of a model without classes it is a number.
    """

    def __init__(self, description: Description, masking: Masking = Masking(), cookie: str | None = None) -> None:
        self._description = description
        self._classes = Vocabulary([label_text(label) for label in description.classes])
        self._masking = masking
        self._cookie = re.compile(rf"(?:.*?;\s*)?{re.escape(cookie)}=([^;]*)") if cookie else None
        self._numeric = [each.name for each in description.features if each.kind is Kind.NUMERIC]
        self._categorical = [each.name for each in description.features if each.kind is Kind.CATEGORICAL]
        self._features = [each.name for each in description.features]
        self._hashed = [name for name in self._features if masking.secret and name in masking.columns]
        self._masked = [place for place, name in enumerate(self._numeric) if name in masking.columns]

    def blocks(self, answers: Sequence[Logged], zero: float) -> Iterator[tuple[datetime, Block]]:
        """Midnight (UTC) of a day, and rows that were answered on it; in the order of `answers`.

        `zero` is the moment of zero on the monotonic clock, in seconds since 1970.
        """

        def alike(answer: Logged) -> tuple[int, int]:
            return int((zero + answer.answered) // 86_400), answer.predictions.ndim

        for (day, _), group in groupby(answers, alike):
            yield datetime.fromtimestamp(day * 86_400, UTC), self._block(list(group), zero)

    def table(self, blocks: Sequence[Block]) -> pa.Table:
        """All rows of `blocks`, at least one."""
        by_width = groupby(blocks, lambda block: block.scores.shape[1])
        return pa.Table.from_batches([self._joined(list(group)) for _, group in by_width])

    def _block(self, answers: Sequence[Logged], zero: float) -> Block:
        numbers = np.concatenate([answer.batch.numbers for answer in answers])
        columns = self._of_requests(answers, zero) | self._of_features(answers, numbers)
        if self._masked:
            numbers[:, self._masked] = np.nan
        columns["unknown_categories"] = texts_of(self._unknown(answers))
        columns["prediction"], scores = self._of_predictions(answers)
        return Block(len(numbers), columns, np.ascontiguousarray(numbers.T), scores)

    def _of_requests(self, answers: Sequence[Logged], zero: float) -> dict[str, "Texts | np.ndarray[Any, Any]"]:
        rows = np.array([answer.batch.rows for answer in answers])
        first = np.repeat(np.cumsum(rows) - rows, rows)
        moments = np.array([(zero + answer.answered) * 1e6 for answer in answers]).astype("datetime64[us]")
        return {
            "request_id": texts_of([answer.request_id for answer in answers], rows),
            "row": (np.arange(len(first)) - first).astype(np.int32),
            "time": np.repeat(moments, rows),
            "mirrored": np.repeat([answer.mirrored for answer in answers], rows),
            "paired": np.repeat([answer.paired for answer in answers], rows),
            "key": texts_of([self._key(answer.key) for answer in answers], rows),
            "latency_ms": np.repeat([answer.seconds * 1000 for answer in answers], rows),
        }

    def _key(self, header: bytes | None) -> str | None:
        text = (header or b"").decode("utf-8", "replace")
        if self._cookie is not None:
            found = self._cookie.match(text)
            text = found[1] if found else ""
        return text if 0 < len(text) <= LONGEST_KEY else None

    def _of_features(
        self, answers: Sequence[Logged], numbers: "np.ndarray[Any, Any]"
    ) -> dict[str, "Texts | np.ndarray[Any, Any]"]:
        """Categories, and hashes of masked columns."""
        columns: dict[str, Texts | np.ndarray[Any, Any]] = {}
        for position, name in enumerate(self._categorical):
            texts = list(chain.from_iterable(answer.batch.categories[position] for answer in answers))
            columns[FEATURE + name] = texts_of([None] * len(texts) if name in self._masking.columns else texts)
            if name in self._hashed:
                columns[HASHED + name] = texts_of([self._masking.hash(text) for text in texts])
        for position, name in enumerate(self._numeric):
            if name in self._hashed:
                values = numbers[:, position].tolist()
                shown = (None if isnan(number) else label_text(number) for number in values)
                columns[HASHED + name] = texts_of([self._masking.hash(text) for text in shown])
        return columns

    def _unknown(self, answers: Sequence[Logged]) -> list[str | None]:
        """Of each row the columns whose category training never saw; the values themselves may be masked."""
        found = (columns_unknown(self._description, answer.batch) for answer in answers)
        return list(chain.from_iterable(found))

    def _of_predictions(self, answers: Sequence[Logged]) -> "tuple[Texts | np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        rows = np.concatenate([answer.predictions for answer in answers])
        if rows.ndim > 1 and not len(self._classes):  # several numbers a row: none of them is the prediction
            return np.full(len(rows), np.nan), rows.astype(np.float64)
        if rows.ndim > 1:
            return self._classes.texts(rows.argmax(axis=1)), rows.astype(np.float64)
        nothing = np.empty((len(rows), 0))
        if len(self._classes) or rows.dtype.kind not in "fiu":
            return texts_of([label_text(label) for label in rows.tolist()]), nothing
        return rows.astype(np.float64), nothing

    def _joined(self, blocks: Sequence[Block]) -> pa.RecordBatch:
        numbers = np.concatenate([block.numbers for block in blocks], axis=1)
        columns = {FEATURE + name: _array(values) for name, values in zip(self._numeric, numbers, strict=True)}
        for name, first in blocks[0].columns.items():
            parts: Any = [block.columns[name] for block in blocks]
            columns[name] = (
                Texts.joined(parts).as_arrow() if isinstance(first, Texts) else _array(np.concatenate(parts))
            )
        columns["scores"] = _lists(np.concatenate([block.scores for block in blocks]))
        names = [*blocks[0].columns]
        of_requests = [name for name in names[:-1] if not name.startswith((FEATURE, HASHED))]
        of_features = [*(FEATURE + name for name in self._features), *(HASHED + name for name in self._hashed)]
        ordered = [*of_requests, *of_features, "prediction", "scores"]
        return pa.RecordBatch.from_arrays([columns[name] for name in ordered], names=ordered)


def _array(values: "np.ndarray[Any, Any]") -> pa.Array:
    if values.dtype.kind == "b":
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, bits(values)])
    kind = pa.from_numpy_dtype(values.dtype)
    if values.dtype.kind == "M":
        kind, values = pa.timestamp("us", tz="UTC"), values.view(np.int64)
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(0, bool)
    known = None
    if missing.any():
        known, values = bits(~missing), np.where(missing, 0.0, values)
    return pa.Array.from_buffers(kind, len(values), [known, pa.py_buffer(values)])


def _lists(values: "np.ndarray[Any, Any]") -> pa.Array:
    """A list a row of an array of shape (rows, width); nulls for a width of 0."""
    rows, width = values.shape
    ends = pa.py_buffer(np.arange(rows + 1, dtype=np.int32) * np.int32(width))
    flat = pa.Array.from_buffers(pa.float64(), values.size, [None, pa.py_buffer(values)])
    nulls = None if width else bits(np.zeros(rows, dtype=bool))
    return pa.Array.from_buffers(pa.list_(pa.float64()), rows, [nulls, ends], children=[flat])
