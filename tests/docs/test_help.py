"""Every command's help has an example, which the command line understands; and a shell is told what may stand next."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from flows.entrypoints.cli.main import app
from tests.docs.claims import claim
from tests.unit.flows.conftest import Seatrial

ROOT: Any = typer.main.get_command(app)
_EXAMPLES = re.compile(r"^Examples?: (.*)$", re.MULTILINE)
# What looks and starts nothing, on a machine where nothing is.
RUN = {"lint", "schema", "products", "doctor", "history", "plan"}


def commands(group: Any = ROOT, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in group.commands.items():
        if hasattr(each, "commands"):
            yield from commands(each, (*before, name))
        else:
            yield (*before, name), each


def examples(command: Any) -> list[list[str]]:
    """The words of each, without what belongs to the shell."""
    found = _EXAMPLES.findall(command.help or "")
    written = [each for line in found for each in line.split(" · ")]
    return [shlex.split(re.sub(r"^(?:[A-Z_]+=\S+ )*", "", each).partition(" > ")[0]) for each in written]


ALL = {" ".join(name): command for name, command in commands()}


@claim("docs/cli.md", "`seatrial COMMAND --help` has the same in short, with an example")
@pytest.mark.parametrize("name", ALL)
def test_the_help_of_a_command_has_an_example_that_is_understood(name: str) -> None:
    found = examples(ALL[name])
    assert found, f"seatrial {name} --help shows no example"
    for words in found:
        context = ROOT.make_context("seatrial", words[1:])
        group, rest = ROOT, [*context._protected_args, *context.args]
        while hasattr(group, "commands"):
            group = group.commands[rest.pop(0)]
        assert group is ALL[name]
        parsed = group.make_context(name, rest)
        assert not parsed.args


@pytest.mark.parametrize("name", sorted(RUN))
def test_examples_of_commands_that_only_look_are_run(name: str, alone: Seatrial) -> None:
    for words in examples(ALL[name]):
        options = [each for each in words[1:] if each != "--mend"]
        expected = 2 if name == "history" else 0  # nothing is known of flights here
        assert alone(*options) == expected
