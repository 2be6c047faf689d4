"""What docs/events.md and docs/triggers.md say of events and of how runs end, held against the code."""

import re
from pathlib import Path
from typing import Any

import typer
import yaml
from prefect.automations import Automation

from deployments.errors import BadSpec, GateRefused, RolloutAborted, RolloutFailed, RouterUnreachable
from deployments.event_delivery.catalogue import FIELDS
from deployments.event_delivery.outbox import KEPT_FOR
from deployments.event_delivery.receiver import _LONGEST, _MOST_READ
from deployments.event_delivery.sender import _FIRST_PAUSE, _LONGEST_PAUSE, GIVEN_UP_AFTER
from flows.entrypoints.cli import main as cli
from tasks.final_states import ENDS, name_of
from tests.architecture.test_documentation import DOCS, rows
from tests.docs.claims import claim


def test_every_event_is_described_with_its_fields() -> None:
    told = {cells[0].strip("`"): re.findall(r"`([a-z_]+)`", cells[2]) for cells in rows(DOCS / "events.md", "type")}
    assert told == {kind: list(fields) for kind, fields in FIELDS.items()}


def test_every_command_of_events_is_documented_with_its_options() -> None:
    group: Any = typer.main.get_command(cli.app)
    found = dict(group.commands["events"].commands)
    found |= {f"subscriptions {name}": each for name, each in found.pop("subscriptions").commands.items()}
    real = {
        name: {option for each in command.params for option in each.opts if option.startswith("-")} - {"--help"}
        for name, command in found.items()
    }
    told = {
        re.sub(r" [A-Z]+$", "", cells[0].strip("`")): set(re.findall(r"`(-[-a-z]+)`", cells[1]))
        for cells in rows(DOCS / "cli.md", "`events`")
    }
    assert told == real


def test_every_named_end_is_described() -> None:
    table = {cells[0].strip("`"): cells[1] for cells in rows(DOCS / "triggers.md", "state")}
    assert set(table) > ENDS
    assert {table[name] for name in ENDS} == {"CANCELLED"}
    ends = [name_of(error("")) for error in (BadSpec, GateRefused, RolloutFailed, RolloutAborted, RouterUnreachable)]
    assert ends == ["Refused", "Refused", "RolledBack", "Aborted", None]


def test_every_automation_is_described_and_says_how_it_is_deployed() -> None:
    files = sorted((Path(__file__).parents[2] / "infra" / "automations").glob("*.yaml"))
    told = {cells[0].strip("`") for cells in rows(DOCS / "triggers.md", "file in `infra/automations/`")}
    assert {file.name for file in files} == told
    for file in files:
        assert f"prefect automation create --from-file infra/automations/{file.name}" in file.read_text()
        assert Automation.model_validate(yaml.safe_load(file.read_text())).description


@claim(
    "docs/events.md",
    "is tried again for a day, with pauses from 1 s up to 15 min, each shortened by chance by up to half; the "
    "header `retry-after` is heeded. After the day it is a dead letter. A try takes 15 s at most, and of an answer 64 "
    "KiB are read.",
    "stand in `seatrial events dead-letters` for 30 days.",
)
def test_limits_and_pauses_are_those_of_the_code() -> None:
    assert (GIVEN_UP_AFTER.days, _FIRST_PAUSE.seconds, _LONGEST_PAUSE.seconds) == (1, 1, 15 * 60)
    assert (_LONGEST.seconds, _MOST_READ, KEPT_FOR.days) == (15, 64 * 1024, 30)
