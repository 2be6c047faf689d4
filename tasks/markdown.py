"""Text of others on a page of Markdown.

Prefect shows `&#95;` as it stands, so what would be markup gets a backslash.
"""

import re
from typing import Final

from deployments.printable import in_one_line

_MARKUP: Final = re.compile(r"[&<>|`*_\[\]\\~#]")


def plain(text: str) -> str:
    """`text` as it stands: nothing in it is markup, nor ends the line or the cell."""
    return _MARKUP.sub(r"\\\g<0>", in_one_line(text))


def code(text: str) -> str:
    """`text` in one piece, as code; a backtick becomes a blank."""
    return f"`{in_one_line(text).replace('`', ' ')}`"
