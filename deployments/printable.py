"""Text of others as a terminal and a log may show it: what would steer a terminal, or forge a line, is spelled out.

Column names, cells, tags of a registry, reasons and file names come from somewhere. An escape sequence in one of them
could clear the screen, retitle the window or hide what follows; a line break could forge a line of a log; a
bidirectional control could turn the order of what is read (CVE-2021-42574).
"""

import re
from typing import Final

# C0 and C1 controls, delete, line and paragraph separators, bidirectional controls, lone surrogates.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NUMBER_OF_THE_SYSTEM: Final = re.compile(r"\[Errno -?\d+\] ")
_CONTROLS_IN_TEXT: Final = re.compile(f"(?![\n\t]){_CONTROLS.pattern}")


def in_one_line(text: object) -> str:
    """`text` with every control spelled out as Python writes it, line breaks too."""
    return _CONTROLS.sub(_spelled, str(text))


def in_lines(text: object) -> str:
    """`text` with every control spelled out but line breaks and tabs, for messages that have several lines."""
    return _CONTROLS_IN_TEXT.sub(_spelled, str(text))


def said_by(error: BaseException) -> str:
    """What an error of somebody else's library says, in one line for a message of ours, without the system's number.

    `[Errno 111] Connection refused` is "Connection refused"; of a key that is not there it is said that it is missing;
    an error without words is told by its type.
    """
    text = in_one_line(" ".join(_NUMBER_OF_THE_SYSTEM.sub("", str(error)).split()))
    return f"{text} is missing" if text and isinstance(error, KeyError) else text or type(error).__name__


def _spelled(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
