"""The pages as a reader meets them: their blocks, and the commands in them with the answers that are shown."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
DECISIONS = tuple(sorted(f"docs/decisions/{path.name}" for path in (ROOT / "docs/decisions").glob("*.md")))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)
_PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences, below a heading."""

    heading: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """What a reader types, with the answer that the page shows; empty where it shows none."""

    text: str
    answer: str = ""


def text_of(page: str) -> str:
    """A page as it is written."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", text_of(page))


def code_in(page: str) -> Iterator[str]:
    """What stands in single quotes of code in the prose."""
    return (code for code in re.findall(r"`([^`\n]+)`", prose(page)))


def blocks(page: str) -> list[Block]:
    """In their order."""
    *prose_before, _ = re.split(r"^```\w*\n.*?^```$", text_of(page), flags=re.MULTILINE | re.DOTALL)
    found, heading = [], ""
    for before, (language, text) in zip(prose_before, _FENCE.findall(text_of(page)), strict=True):
        heading = next(reversed(_HEADING.findall(before)), heading)
        found.append(Block(heading, language, text))
    return found


def commands(page: str) -> list[Command]:
    """All of a page: of blocks of bash, with the plain block that follows below a heading as an answer; behind "
    "prompts."""
    found: list[Command] = []
    for block, following in pairwise([*blocks(page), Block("", "none", "")]):
        if block.language == "bash":
            *first, last = _typed(block.text)
            answered = (following.heading, following.language) == (block.heading, "") and _PROMPT not in following.text
            found += [*map(Command, first), Command(last, following.text if answered else "")]
        elif block.text.startswith(_PROMPT):
            for session in block.text.removeprefix(_PROMPT).split(f"\n{_PROMPT}"):
                typed = _typed(session)[0]
                found.append(Command(typed, session[len(typed) :].strip("\n")))
    return found


def _typed(text: str) -> list[str]:
    """The commands of a block, each with all its lines and without a comment beside it."""
    found, lines = [], ""
    for line in text.splitlines():
        lines += f"\n{line}" if lines else line
        if lines.strip() and _ends(lines):
            found.append(re.sub(r" +# .*$", "", lines))
            lines = ""
    return found


def _ends(lines: str) -> bool:
    """Whether a command is complete."""
    here = re.search(r"<<(\w+)", lines)
    if here:
        return lines.endswith(f"\n{here[1]}")
    try:
        shlex.split(lines, comments=True)
    except ValueError:
        return False
    return not lines.rstrip().endswith(("\\", "|"))
