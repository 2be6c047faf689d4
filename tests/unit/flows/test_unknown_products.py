"""A product that nobody knows: no command sends one to another command with the same name."""

import re
from pathlib import Path

import pytest

from deployments.settings import current
from flows.entrypoints.cli import release
from tests.unit.flows.conftest import Seatrial
from tests.unit.tasks.rollout_engine.world import World

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
    "release",
    "retry",
    "rollback",
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


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("command", ["retry", "rollback"])
@pytest.mark.parametrize("has_home", [False, True])
def test_no_gateway_is_started_for_a_product_that_was_never_released(
    command: str,
    has_home: bool,
    seatrial: Seatrial,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its spec is there, and no version and no rollout: it took a gateway and a Prefect to say so."""
    started: list[object] = []
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path if has_home else tmp_path / "no home"))
    monkeypatch.setenv("SEATRIAL_PROJECT", str(tmp_path))
    current.cache_clear()
    monkeypatch.setattr(release, "run_in_preforked_process", lambda _: None)
    monkeypatch.setattr(release, "enter_platform", lambda **_: started.append("Prefect"))
    assert seatrial(command, "flights") == 2
    said = capsys.readouterr().err
    assert "flights was never released here" in said
    assert "`seatrial release flights`" in said
    assert started == []
