"""What docs/gateway.md claims, held against settings, the command line and what is written for Envoy."""

import re
from typing import Any

import typer

from deployments.routers.envoy.public_listener import KEY_HEADER, refusals
from deployments.settings import Settings
from flows.entrypoints.cli import main as cli
from tests.architecture.test_documentation import DOCS, rows
from tests.docs.claims import claim


def test_every_command_of_keys_is_documented_with_its_options() -> None:
    group: Any = typer.main.get_command(cli.app)
    for name in ("key", "token"):
        real = {
            command: {option for each in found.params for option in each.opts if option.startswith("-")} - {"--help"}
            for command, found in group.commands[name].commands.items()
        }
        told = {
            cells[0].strip("`").split()[0]: set(re.findall(r"`(-[-a-z]+)`", cells[1]))
            for cells in rows(DOCS / "cli.md", f"`{name}`")
        }
        assert told == real


@claim(
    "docs/gateway.md",
    "its port, 8443 by default; no other one is taken instead",
    "how many requests a second one product may be sent from there, 1000 by default",
    "Others show it in the header `x-api-key`:",
)
def test_the_defaults_of_the_page_are_those_of_the_settings() -> None:
    fields = Settings.model_fields
    assert fields["public_port"].default == 8443
    assert fields["public_rate"].default == 1000
    assert KEY_HEADER == "x-api-key"


def test_the_answers_of_the_page_are_those_of_the_gateway() -> None:
    told = {int(cells[0]) for cells in rows(DOCS / "gateway.md", "answer")}
    given = {
        each.get("status_code") or each["filter"]["status_code_filter"]["comparison"]["value"]["default_value"]
        for each in refusals()
    }
    assert told == given
