"""Memory that requests may take, alone and together: whoever asks for more is refused, or told to come again.

What a body comes to is told from its brackets, quotes and commas before anything is made of it. The numbers below were
measured (`tests/hostile/test_memory.py` prints them anew): each is the most that one kind of body took, parsed, put
into columns, and asked about.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    from deployments.serving.row_batch import Batch

MIB: Final = 1024 * 1024
# Of bodies beyond the first of it; small requests always find room, as many as are answered at once.
SMALL_BYTES: Final = 65_536
_BODIES: Final = 32 * MIB
# What is made of one body, answers included; and what large requests take together, those included that a model has
# in hand and does not give back. A pod has 512 MiB, of which a server with its model takes some 240.
MOST_MADE: Final = 120 * MIB
MOST_TOGETHER: Final = 144 * MIB
# Of one request: numbers that a model is asked about, and that it says. Each is copied some times on its way.
_MOST_CELLS, _MOST_NUMBERS = 2 * MIB, MIB
# A value by its comma, with its places in lists and arrays; a text beyond its characters; a pair in an object.
_LIST, _OBJECT, _PAIR, _TEXT, _VALUE = 96, 240, 100, 40, 90
_CELL, _LINE = 100, 100
# What stands in bytes behind the JSON: a text beyond its characters, a number with its copies.
_BYTES_TEXT, _BYTES_NUMBER = 110, 40
# The first byte of a character that takes two bytes of memory, and of one that takes four; in a text all are as wide.
_TWO_BYTES_WIDE, _FOUR_BYTES_WIDE = 0xC4, 0xF0
_PIECE: Final = 256 * 1024
_COPIES, _ROW_TEXT = 4, 80


class Room:
    """What the bodies of large requests take together; only for the event loop."""

    def __init__(self, most: int = _BODIES) -> None:
        self._most = most
        self.taken = 0

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes more; then they are taken."""
        if self.taken + size > self._most:
            return False
        self.taken += size
        return True

    def give_back(self, size: int) -> None:
        """So many bytes are not needed any more."""
        self.taken -= size


def rows_take(batch: "Batch", body_bytes: int) -> int:
    """What the rows of a body take while a model works at them: its own copies, too."""
    texts = _ROW_TEXT * batch.rows * len(batch.categories) + 4 * body_bytes if batch.categories else 0
    return body_bytes + _COPIES * batch.numbers.nbytes + texts


def rows_within(rows: int, features: int, classes: int) -> int:
    """How many of `rows` a model of so many columns and classes is asked about at once; a regression has no classes."""
    return min(rows, _MOST_CELLS // max(1, features), _MOST_NUMBERS // max(1, classes))


def json_takes(body: bytes | memoryview) -> int:
    """How much memory the document in a body takes at most, and what is made of it: `[],` are three bytes, and 180."""
    lists, objects, pairs, quotes, commas = _counted(body, b'[{:",')
    texts = max(0, quotes // 2 - pairs)
    made = _LIST * lists + _OBJECT * objects + _PAIR * pairs + _TEXT * texts + _VALUE * (commas + 1)
    return made + (2 + _width(body, escapes=True)) * len(body)


def csv_takes(body: bytes) -> int:
    """The same of rows as CSV."""
    commas, ends, returns = _counted(body, b",\n\r")
    lines = ends + returns - body.count(b"\r\n") + 1
    return _CELL * (commas + lines) + _LINE * lines + _width(body) * (len(body) + 3 * _longest_line(body))


def texts_take(count: int, content: memoryview) -> int:
    """The same of `count` texts in bytes."""
    return _BYTES_TEXT * count + _width(content) * len(content)


def numbers_take(count: int) -> int:
    """The same of `count` numbers in bytes, of whatever type."""
    return _BYTES_NUMBER * count


def _counted(body: bytes | memoryview, signs: bytes) -> list[int]:
    """How often each of `signs` stands in it; piece by piece, for each count makes an array as long as the piece."""
    import numpy as np  # the control service reads bodies, too, and does without

    counts = [0] * len(signs)
    for piece in _pieces(body):
        for place, sign in enumerate(signs):
            counts[place] += int(np.count_nonzero(piece == sign))
    return counts


def _width(body: bytes | memoryview, escapes: bool = False) -> int:
    """Bytes of memory that a byte of text may become."""
    highest = max((int(piece.max()) for piece in _pieces(body)), default=0)
    if highest >= _FOUR_BYTES_WIDE or (escapes and b"\\u" in bytes(body)):
        return 4
    return 2 if highest >= _TWO_BYTES_WIDE else 1


def _longest_line(body: bytes | memoryview) -> int:
    """Bytes that the longest line has at most, to two pieces."""
    import numpy as np

    longest = length = 0
    for piece in _pieces(body):
        has_end = bool(np.any(piece == ord("\n")))
        length = piece.size if has_end else length + piece.size
        longest = max(longest, length + piece.size)
    return longest


def _pieces(body: bytes | memoryview) -> "list[np.ndarray[Any, Any]]":
    import numpy as np

    characters = np.frombuffer(body, np.uint8)
    return [characters[start : start + _PIECE] for start in range(0, characters.size, _PIECE)]
