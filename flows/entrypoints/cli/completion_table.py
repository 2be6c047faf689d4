"""All commands with their options and arguments, as the table from which shells are answered.

`python -m flows.entrypoints.cli.completion_table` writes it; a test says when that is due.
"""

import json
from enum import StrEnum
from typing import Any

import typer

from deployments.webhooks.sources import SOURCES
from flows.entrypoints.cli.completion import TABLE

_PRODUCTS = frozenset({"product", "products", "spec", "specs"})


def table() -> dict[str, Any]:
    """The table of the program and of each command: `says`, `options`, and `commands` or `arguments`."""
    from flows.entrypoints.cli.main import app

    return _of(typer.main.get_command(app))


def _of(command: Any) -> dict[str, Any]:
    options = {
        name: {"says": _first(parameter.help or ""), "takes": "" if parameter.is_flag else _kind(parameter)}
        for parameter in command.params
        if parameter.param_type_name == "option"
        for name in parameter.opts
    }
    made: dict[str, Any] = {"says": _first(command.help or ""), "options": options | {"--help": _HELP}}
    if hasattr(command, "commands"):
        made["commands"] = {name: _of(each) for name, each in command.commands.items() if not each.hidden}
    else:
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        made["arguments"] = [_kind(each) + ("..." if each.nargs == -1 else "") for each in arguments]
    return made


_HELP = {"says": "what the command does", "takes": ""}


def _kind(parameter: Any) -> str:
    """`product`, `rollout`, `log`, a choice with bars between, or `any`."""
    if parameter.name in _PRODUCTS:
        return "product"
    if parameter.name == "rollout":
        return "rollout"
    if parameter.name == "name" and "process" in (parameter.help or ""):
        return "log"
    if parameter.name == "source":
        return "|".join(SOURCES)
    kind = parameter.type_descriptor.annotation
    return "|".join(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else "any"


def _first(text: str) -> str:
    """The first sentence, in one line."""
    line = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return line.partition(". ")[0].rstrip(".")


def main() -> None:
    """Write the table."""
    TABLE.write_text(json.dumps(table(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
