"""A product that nobody knows: no command sends one to another command with the same name."""

import re

import pytest

from tests.unit.flows.conftest import Seatrial
from tests.unit.tasks.rollout_engine.world import World

# Those that train or move traffic by themselves would start a platform first.
COMMANDS = [
    "promote",
    "skip",
    "approve",
    "pause",
    "resume",
    "abort",
    "watch",
    "explain",
    "replay",
    "history",
    "repair",
    "status",
    "log",
    "plan",
    "profile",
    "lint",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_sends_one_to_another_that_does_not_know_the_product_either(
    command: str, world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_HOME", str(world.folder / "home"))
    code = seatrial(command, "nope")
    said = capsys.readouterr()
    assert code not in {0, 1}
    assert "defect" not in said.err
    assert "nope" in said.err
    assert not re.search(r"`seatrial [a-z]+ nope", said.err)


def test_nothing_is_started_to_find_out_that_there_is_nothing_to_remove(
    world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr("deployments.wiring.read_only_doors_of", lambda _: world.doors)
    monkeypatch.setattr("deployments.wiring.doors", started.append)
    assert seatrial("remove", "nope", "--yes") == 2
    assert "'nope' was never released here" in capsys.readouterr().err
    assert started == []
