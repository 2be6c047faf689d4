"""Every text of the product's code that may reach somebody, what is filled in shown as the code has it.

`make words` (`python -m tests.architecture.texts`) prints all of them, to be read in one go.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from deployments.printable import in_one_line

ROOT = Path(__file__).parents[2]
PACKAGES = ("deployments", "tasks", "flows")
FILLED = "\N{HORIZONTAL ELLIPSIS}"
_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
_SAID = {"say", "line", "say_done", "warn", "fail", "echo", "print"}
# Annotations of types, queries, counters, formats, patterns and configurations: no sentences.
_FOR_MACHINES = re.compile(
    r"^[\w.]+(\[.*\])?( \| [\w.]+(\[.*\])?)+$|^[\w.]+\[.*\]$|^(PRAGMA|SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|BEGIN) |"
    r"^# (HELP|TYPE) |^(seatrial|process)_\w+[ {]|^[^a-z]*%[A-Za-z]|^(python -m|<|text/plain|default-src)|^\w+ = '…'$|"
    r"^\n:root"
)


class Kind(StrEnum):
    """Where a text goes, as far as its place in the code tells."""

    ERROR = "error"
    LOG = "log"
    EVENT = "event"
    SAID = "said"
    HELP = "help"
    OTHER = "text"


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the code, its filled-in parts as one sign; `shown` has them as the code writes them, in braces."""

    path: str
    line: int
    words: str
    shown: str = ""
    kind: Kind = Kind.OTHER

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words}"


def texts(root: Path = ROOT) -> Iterator[Text]:
    """Every string of the product's code that is no docstring, in the order of its files."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            yield from texts_of(path.read_text(encoding="utf-8"), str(path.relative_to(root)))


@lru_cache(maxsize=1)
def messages() -> tuple[Text, ...]:
    """Texts with words in them: no names of settings, fields or headers, and nothing for machines."""
    return tuple(
        text
        for text in texts()
        if " " in text.words.strip() and re.search(r"[A-Za-z]", text.words) and not _FOR_MACHINES.search(text.words)
    )


def texts_of(source: str, path: str) -> Iterator[Text]:
    """Those of one module."""
    tree = ast.parse(source)
    parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in formatted for part in ast.walk(node)} - {id(node) for node in formatted}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else FILLED for part in node.values)
            yield Text(path, node.lineno, "".join(parts), _shown(node), _kind(node, parents))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | inside:
            yield Text(path, node.lineno, node.value, node.value, _kind(node, parents))


def _shown(text: ast.JoinedStr) -> str:
    parts = ((part, ast.unparse(ast.JoinedStr([part]))) for part in text.values)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else written[2:-1] for part, written in parts)


def _kind(node: ast.AST, parents: dict[int, ast.AST]) -> Kind:
    while (parent := parents.get(id(node))) is not None and not isinstance(node, ast.FunctionDef | ast.ClassDef):
        if isinstance(parent, ast.keyword) and parent.arg in {"help", "description"}:
            return Kind.HELP
        if isinstance(parent, ast.Raise):
            return Kind.ERROR
        if isinstance(parent, ast.Call):
            name = getattr(parent.func, "attr", getattr(parent.func, "id", ""))
            if name == "tell":
                return Kind.EVENT
            if name in _LEVELS:
                return Kind.LOG
            if name in _SAID:
                return Kind.SAID
        node = parent
    return Kind.OTHER


if __name__ == "__main__":
    for path, found in groupby(messages(), key=lambda text: text.path):
        sys.stdout.write(f"\n{path}\n")
        for each in sorted(found, key=lambda text: text.line):
            sys.stdout.write(f"{each.line:>5} {each.kind:<6} {in_one_line(each.shown)}\n")
