"""Text of others in a comment on a pull or merge request, where more than markup has a meaning.

GitHub and GitLab make a notification of `@name`, a link of an address or `#12`, and GitLab an order of a line that
begins with `/`. Specs, data and models are written by whoever opens the request; the comment is the project's own.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from deployments.printable import in_one_line
from tasks.markdown import plain

LONGEST_CELL: Final = 160
_JOINER: Final = "\u2060"
# What makes a mention, a reference or an address of the letters behind or before it.
_BEFORE: Final = re.compile(r"(?<=www)\.|(?<=\w):(?=//)", re.IGNORECASE)
_AFTER: Final = re.compile(r"(^/|[@#!$%~])(?=\w)")


def text(words: object) -> str:
    """`words` in one line, as they stand: no markup, no mention, no link, no order."""
    line = _BEFORE.sub(rf"{_JOINER}\g<0>", in_one_line(words))
    return plain(_AFTER.sub(rf"\g<0>{_JOINER}", line))


def short(words: object, longest: int = LONGEST_CELL) -> str:
    """The same, cut off where it is too long for a table."""
    line = in_one_line(words)
    return text(line if len(line) <= longest else f"{line[: longest - 1]}…")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table; cells are text of others, the columns' names ours."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(short(cell) for cell in row)} |" for row in rows)]


def fold(title: str, lines: Sequence[str]) -> list[str]:
    """Lines that are shown when the reader opens them. `title` is ours."""
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def fenced(lines: Sequence[str], language: str = "") -> list[str]:
    """Lines as they stand, whatever is in them."""
    clean = [in_one_line(line) for line in lines]
    longest = max((len(run) for line in clean for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *clean, fence]
