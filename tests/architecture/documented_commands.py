"""Checks that every `seatrial …` and `make …` that the documentation shows exists, options included.

`python -m tests.architecture.documented_commands FILE…` ends with 1 and names the place of each that does not.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from flows.entrypoints.cli.main import app

ROOT = Path(__file__).parents[2]
_CODE = re.compile(r"`([^`\n]+)`")


def mistakes(path: Path) -> Iterator[str]:
    """One line for each command in a Markdown file that does not exist."""
    for number, command in _commands(path.read_text(encoding="utf-8")):
        problem = _problem(command)
        if problem:
            yield f"{path}:{number}: `{command}`: {problem}"


def _commands(text: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        pieces = [re.split(r"\s{2,}#|\s#\s", line.strip().removeprefix("$ "))[0]] if fenced else _CODE.findall(line)
        for piece in pieces:
            for command in re.split(r"&&|;|\|", piece):
                if command.strip().startswith(("seatrial ", "make ")):
                    yield number, command.strip()


def _problem(command: str) -> str | None:
    words = [word for word in shlex.split(command.replace("…", "")) if word]
    return _make_problem(words[1:]) if words[0] == "make" else _seatrial_problem(words[1:])


def _make_problem(words: list[str]) -> str | None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    unknown = [word for word in words if "=" not in word and word not in targets]
    return f"no target {unknown[0]!r} in the Makefile" if unknown else None


def _seatrial_problem(words: list[str]) -> str | None:
    root: Any = typer.main.get_command(app)
    if not words or words[0].startswith("-") or words[0] == words[0].upper():
        return None
    command, words = root, list(words)
    while (group := getattr(command, "commands", None)) is not None and words[:1] not in ([], ["COMMAND"]):
        name = words.pop(0)
        if (command := group.get(name)) is None:
            return f"no command {name!r}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in known]
    return f"no option {unknown[0]} of {command.name}" if unknown else None


def main() -> int:
    """Check the files on the command line."""
    found = [mistake for name in sys.argv[1:] for mistake in mistakes(Path(name))]
    sys.stdout.write("".join(f"{mistake}\n" for mistake in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
