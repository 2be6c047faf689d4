"""What may stand next on a command line, for bash, zsh and fish: commands, options, products, rollouts, logs.

A shell asks at each Tab, so nothing is imported here but what Python starts with: the commands come from a table that
`completion_table.py` writes and a test holds equal to them, products from the names of files, rollouts from SQLite.
The scripts that ask are typer's (`--show-completion`); so are the variables and the forms of the answers.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("completion_table.json")
_ROLLOUTS = 20
_PRODUCT = re.compile(r"^product:\s*[\"']?([a-z][a-z0-9-]*)", re.MULTILINE)
_SAFE = re.compile(r"[A-Za-z0-9_.+/-]+").fullmatch
Items = Iterator[tuple[str, str]]


def complete() -> int | None:
    """Print what may stand next, as the asking shell wants it; the exit code, None for a shell that is not known."""
    shell = os.environ["_SEATRIAL_COMPLETE"].removeprefix("complete_")
    if shell not in {"bash", "zsh", "fish"}:
        return None
    words, incomplete = _asked(shell)
    # Shells read what is printed as code: a file may have any name.
    found = [each for each in candidates(words, incomplete) if each[0].startswith(incomplete) and _SAFE(each[0])]
    match shell:
        case "zsh":
            listed = "\n".join(_for_zsh(value, said) for value, said in found)
            sys.stdout.write(f"_arguments '*: :(({listed}))'\n" if found else "_files\n")
        case "fish" if os.environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
            return 0 if found else 1
        case "fish":
            sys.stdout.writelines(f"{value}\t{said}\n" for value, said in found)
        case _:
            sys.stdout.writelines(f"{value}\n" for value, _ in found)
    return 0


def candidates(words: list[str], incomplete: str) -> Items:
    """What may follow `words` (without the program), each with a few words on it; not filtered by `incomplete`."""
    here: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    waiting: str | None = None  # an option that wants its value
    given: list[str] = []
    for word in words:
        if waiting is not None:
            waiting = None if word != "=" else waiting
        elif word.startswith("-"):
            option, equals, _ = word.partition("=")
            takes = here["options"].get(option)
            waiting = option if takes is not None and takes["takes"] and not equals else None
        elif not given and word in here.get("commands", {}):
            here = here["commands"][word]
        else:
            given.append(word)
    if incomplete == "=":
        incomplete = ""
    if waiting is not None:
        yield from _values(here["options"][waiting]["takes"], given)
    elif incomplete.startswith("-"):
        yield from ((name, option["says"]) for name, option in here["options"].items())
    elif "commands" in here:
        yield from ((name, each["says"]) for name, each in here["commands"].items())
    elif kinds := here["arguments"]:
        last = kinds[-1]
        kind = kinds[len(given)] if len(given) < len(kinds) else last if last.endswith("...") else ""
        yield from _values(kind.removesuffix("..."), given)


def _asked(shell: str) -> tuple[list[str], str]:
    """The words before the one that is being written, without the program's name, and that one so far."""
    if shell == "bash":
        words, place = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD") or 0)
        current = words[place] if place < len(words) else ""
        return words[1:place], "" if current == "=" else current
    line = os.environ.get("_TYPER_COMPLETE_ARGS", "")
    try:
        words = shlex.split(line)[1:]
    except ValueError:  # a quote that is still open
        words = line.split()[1:]
    return (words, "") if not words or line[-1:].isspace() else (words[:-1], words[-1])


def _values(kind: str, given: list[str]) -> Items:
    match kind:
        case "product":
            yield from _products()
        case "rollout":
            yield from _rollouts(given[0] if given else None)
        case "log":
            yield from ((file.stem, "") for file in sorted(_home().glob("logs/*.log")))
        case _:
            yield from ((value, "") for value in kind.split("|") if value and kind != "any")


def _products() -> Items:
    """By the names in the specs of the project, as they stand in their first lines."""
    specs = Path(os.environ.get("SEATRIAL_PROJECT") or ".") / (os.environ.get("SEATRIAL_SPECS") or "specs")
    with suppress(OSError, UnicodeDecodeError):
        for file in sorted(specs.glob("*.y*ml")):
            found = _PRODUCT.search(file.read_text(encoding="utf-8"))
            if found and not file.stem.startswith("-"):
                yield found[1] if file.stem == found[1] else file.stem, ""


def _rollouts(product: str | None) -> Items:
    """The newest of the product, or of all; only of a journal in SQLite, as it is without a setting."""
    import sqlite3

    url = os.environ.get("SEATRIAL_JOURNAL_URL") or f"sqlite:///{_home().resolve() / 'journal.db'}"
    if not url.startswith("sqlite:///"):
        return
    place = f"{Path(url.removeprefix('sqlite:///')).absolute().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(place, uri=True, timeout=0.05)) as journal:
        wanted = "SELECT rollout_id, product FROM rollouts ORDER BY started_at DESC"
        listed = [row for row in journal.execute(wanted) if product in {None, row[1]}]
        yield from listed[:_ROLLOUTS]


def _home() -> Path:
    return Path(os.environ.get("SEATRIAL_HOME") or ".seatrial")


def _for_zsh(value: str, said: str) -> str:
    for sign, written in (('"', '""'), ("'", "''"), ("$", "\\$"), ("`", "\\`"), (":", r"\\:")):
        said = said.replace(sign, written)
    return f'"{value}":"{said}"' if said else f'"{value}"'
