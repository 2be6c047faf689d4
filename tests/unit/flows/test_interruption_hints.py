"""What an interrupted command says is true of that command."""

import sys

import pytest

from flows.entrypoints.cli import main

ROLLOUT = "rollout"


@pytest.mark.parametrize("command", ["up", "down", "status", "history", "lint", "plan", "logs", "deploy", "schedules"])
def test_nothing_is_said_of_a_rollout_that_nobody_looked_for(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["seatrial", command])
    monkeypatch.setattr(main, "app", interrupted)
    assert main.run() == 130
    said = capsys.readouterr().err
    assert said.startswith("error: interrupted")
    assert ROLLOUT not in said


def test_up_says_what_became_of_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["seatrial", "up", "--json"])
    monkeypatch.setattr(main, "app", interrupted)
    main.run()
    assert "what is up stays, `seatrial up` starts the rest, and `seatrial down` ends" in capsys.readouterr().err


def interrupted(**_: object) -> None:
    raise KeyboardInterrupt
