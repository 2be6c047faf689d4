"""Memory that requests may take, alone and together: whoever asks for more is refused, or told to come again."""

from typing import Final

MIB: Final = 1024 * 1024
# Of bodies beyond the first of it; small requests always find room, as many as are answered at once.
SMALL_BYTES: Final = 65_536
_BODIES: Final = 64 * MIB
# What is made of one body. A pod has a few hundred MiB.
MOST_MADE: Final = 192 * MIB
# Numbers that a model says of one request: a row has as many as there are classes.
_MOST_NUMBERS: Final = 4 * 1024 * 1024
# Python's objects, with their places in a list: by what JSON writes for them, at least so many bytes.
_LIST, _OBJECT, _PAIR, _TEXT, _PLACE, _NUMBER_A_BYTE = 80, 256, 64, 64, 32, 8
_CELL, _LINE = 80, 96


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


def rows_within(rows: int, classes: int) -> int:
    """How many of `rows` a model with so many classes answers at once; a regression has none."""
    return min(rows, _MOST_NUMBERS // max(1, classes))


def json_takes(body: bytes | memoryview) -> int:
    """How much memory the document in a body takes at most, about: `[],` are three bytes, and 72 of a list."""
    import numpy as np  # the control service reads bodies, too, and does without

    characters = np.frombuffer(body, np.uint8)
    lists, objects, pairs, quotes, commas = (int(np.count_nonzero(characters == ord(each))) for each in '[{:",')
    text = characters.size * (4 if characters.max(initial=0) > 127 else 1)
    numbers = _NUMBER_A_BYTE * max(0, characters.size - 2 * quotes)
    made = _LIST * lists + _OBJECT * objects + _PAIR * pairs + _TEXT * quotes // 2 + _PLACE * commas
    return made + text + numbers


def csv_takes(body: bytes | memoryview) -> int:
    """The same of rows as CSV."""
    import numpy as np

    characters = np.frombuffer(body, np.uint8)
    commas, lines = (int(np.count_nonzero(characters == ord(each))) for each in ",\n")
    return _CELL * commas + _LINE * lines + 4 * characters.size
