"""Columns of text as bytes behind each other, the form in which Arrow has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts behind each other in UTF-8, with the bytes that each takes; `known` is None where none is null."""

    content: bytes
    lengths: "np.ndarray[Any, Any]"
    known: "np.ndarray[Any, Any] | None" = None

    @staticmethod
    def joined(parts: "Sequence[Texts]") -> "Texts":
        """All of them, one part after the other."""
        known = None
        if any(part.known is not None for part in parts):
            known = np.concatenate(
                [np.ones(len(part.lengths), bool) if part.known is None else part.known for part in parts]
            )
        return Texts(
            b"".join([part.content for part in parts]), np.concatenate([part.lengths for part in parts]), known
        )

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return len(self.content) + self.lengths.nbytes + (0 if self.known is None else self.known.nbytes)

    def as_arrow(self) -> pa.Array:
        """The same as an array of strings; at most 2 GiB."""
        ends = np.zeros(len(self.lengths) + 1, np.int32)
        np.cumsum(self.lengths, out=ends[1:])
        known = None if self.known is None else bits(self.known)
        return pa.Array.from_buffers(
            pa.string(), len(self.lengths), [known, pa.py_buffer(ends), pa.py_buffer(self.content)]
        )


class Vocabulary:
    """A few words that are used often."""

    def __init__(self, words: Sequence[str]) -> None:
        encoded = [word.encode() for word in words]
        self._lengths = np.array([len(word) for word in encoded], np.int32)
        self._padded = np.zeros((len(encoded), max(map(len, encoded), default=0)), np.uint8)
        for row, word in zip(self._padded, encoded, strict=True):
            row[: len(word)] = np.frombuffer(word, np.uint8)
        self._used = np.arange(self._padded.shape[1]) < self._lengths[:, np.newaxis]

    def __len__(self) -> int:
        return len(self._lengths)

    def texts(self, places: "np.ndarray[Any, Any]") -> Texts:
        """The words at `places`, shape (texts,)."""
        return Texts(self._padded[places][self._used[places]].tobytes(), self._lengths[places])


def texts_of(texts: Sequence[str | None], repeats: "np.ndarray[Any, Any] | None" = None) -> Texts:
    """Each text, one after the other as often as `repeats` says."""
    known = None if None not in texts else np.array([text is not None for text in texts])
    filled: Sequence[str] = [text or "" for text in texts] if known is not None else texts  # type: ignore[assignment]
    each = [text.encode() for text in filled]
    lengths = np.fromiter(map(len, each), np.int32, len(each))
    if repeats is not None:
        each = [text * number for text, number in zip(each, repeats.tolist(), strict=True)]
        lengths, known = np.repeat(lengths, repeats), None if known is None else np.repeat(known, repeats)
    return Texts(b"".join(each), lengths, known)


def bits(flags: "np.ndarray[Any, Any]") -> pa.Buffer:
    """Flags as Arrow has them."""
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
