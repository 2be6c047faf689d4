"""What messages advise: every command, option, setting and field of a spec that a text of the code names exists.

`python -m tests.architecture.advice` prints each text that advises something.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import typer

from deployments.settings import Settings
from flows.entrypoints.cli.main import app
from tests.architecture.texts import ROOT, Text, texts

TESTS = Path(__file__).parents[1]
# Descriptions of fields and options, tables and a query: nobody is told to do anything.
_NO_ADVICE = re.compile(
    r"^(name (of|in) |send it to the registry|run releases in|let the platform's worker|give order$|"
    r"train \{run|write the suite beside|id of the rollout|how much is done|Great Expectations suite|MLflow  )|"
    r"^name = |\(your own, by SEATRIAL_TRACKING_URI\)"
)
_COMMAND = re.compile(r"seatrial ([a-z]+)((?: [^`\s,;:.)]+)*)")
_VARIABLE = re.compile(r"SEATRIAL_[A-Z_]+[A-Z]")
_FIELD = re.compile(r"\b((?:rollout|data|execution|validation|model|gate)\.[a-z_]+(?:\.[a-z_]+)*)\b(?!\()")
# Words of these sections that are no field of a spec: events, files and Python's own.
_NO_FIELDS = re.compile(
    r"rollout\.(started|judged|taken|left|done|rolled|given|planned|step|watched|waiting|tried|ended)|"
    r"rollout\.(recovered|interrupted|failed|refused)|data\.(ingested|validated|warning|refused)|"
    r"model\.(trained|registered|warning|json|skops)|gate\.(passed|refused|scored)"
)
# Set by Seatrial itself for processes that it starts.
_INTERNAL = re.compile(
    r"SEATRIAL_(SUPERVISOR|SCRIPT|COMPLETE|REMAINS|REQUESTS_KEY|RUN_PROOF|GATEWAY_PROOF|PROGRAM|TAKES_OVER|BUILD|PYTHON|OF_IMAGE|MODEL|IMAGE)[A-Z_]*"
)
_NO_COMMANDS = {"deal"}  # the seed of a split
_ADVISES = re.compile(
    r"`seatrial |SEATRIAL_|(?:[:;,] |, or |^)(?:run|try|see|remove|raise|set|name|give|wait|check|free|start|install|"
    r"send|use|leave|make|write|add|choose|look|move|correct|train|let|rename|allow) "
)


def advice() -> Iterator[Text]:
    """Those that tell somebody what to do."""
    for text in texts():
        if " " in text.words and _ADVISES.search(text.words) and not _NO_ADVICE.search(text.words):
            yield text


@dataclass(frozen=True, slots=True)
class Followed:
    """A part of a text whose advice a test follows, as the test names it; `path` where several files say the same."""

    fragment: str
    path: str

    def is_of(self, text: Text) -> bool:
        """Whether that text is meant."""
        return self.fragment in text.words and self.path in {"", text.path}


def what_tests_follow(root: Path = TESTS) -> Iterator[Followed]:
    """What tests give to `tests.advice.followed`."""
    for path in sorted(root.rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)) if "followed(" in source else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "followed":
                words = [str(part.value) for part in node.args if isinstance(part, ast.Constant)]
                yield Followed(words[0], words[1] if len(words) > 1 else "")


def mistakes(text: Text) -> Iterator[str]:
    """One line for each thing that the text names and that does not exist."""
    for name, rest in _COMMAND.findall(text.words):
        if problem := _problem(name, rest.split()):
            yield f"{text.path}:{text.line}: `seatrial {name}{rest}`: {problem}"
    for variable in _VARIABLE.findall(text.words):
        known = variable.removeprefix("SEATRIAL_").lower() in Settings.model_fields
        if not known and not _INTERNAL.fullmatch(variable):
            yield f"{text.path}:{text.line}: no setting {variable}"
    if " " not in text.words:
        return
    for field in _FIELD.findall(text.words):
        if field not in fields() and not _NO_FIELDS.match(field):
            yield f"{text.path}:{text.line}: no field {field} in a spec"


def _problem(name: str, words: list[str]) -> str | None:
    root: Any = typer.main.get_command(app)
    command = root.commands.get(name)
    while words and (group := getattr(command, "commands", None)) is not None:
        command, words = group.get(words[0]), words[1:]
    if command is None:
        return None if name in _NO_COMMANDS else f"no command {name!r}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else None


@lru_cache(maxsize=1)
def fields() -> frozenset[str]:
    """Every path of a field of a spec."""
    schema = json.loads((ROOT / "docs" / "spec.schema.json").read_text(encoding="utf-8"))
    return frozenset(_paths(schema, schema, ""))


def _paths(schema: Any, node: Any, prefix: str) -> Iterator[str]:
    for name, field in node.get("properties", {}).items():
        yield f"{prefix}{name}"
        for part in (field, *field.get("anyOf", []), field.get("items", {})):
            if "$ref" in part:
                yield from _paths(schema, schema["$defs"][part["$ref"].rpartition("/")[2]], f"{prefix}{name}.")


if __name__ == "__main__":
    sys.stdout.write("".join(f"{text}\n" for text in advice()))
