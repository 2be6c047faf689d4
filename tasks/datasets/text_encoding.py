"""The encoding of a CSV file of which nobody said it."""

import codecs
from typing import Final

_MARKS: Final = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SAMPLE: Final = 4096


def likely_encoding(content: bytes) -> str | None:
    """As Python names it; None for what is no text.

    A byte order mark says it, else where the zeros of UTF-16 stand; what is no UTF-8 either is of one byte a letter:
    Windows' cp1252, or latin-1 where it has bytes that cp1252 lacks.
    """
    if named := next((name for mark, name in _MARKS.items() if content.startswith(mark)), None):
        return named
    head = content[:_SAMPLE]
    if b"\0" in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        found = "utf-16-le" if odd > even else "utf-16-be"
        # Text of Europe has a zero in nearly every other byte, and none in the others.
        return found if max(even, odd) > len(head) // 4 and not min(even, odd) and _reads(content, found) else None
    return next((name for name in ("utf-8", "cp1252", "latin-1") if _reads(content, name)), None)


def _reads(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeError:
        return False
    return True
