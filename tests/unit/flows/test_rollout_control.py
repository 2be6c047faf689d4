"""Orders on the command line."""

import json
import sys

import pytest

from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from flows.entrypoints.cli import main
from tests.unit.flows.conftest import Seatrial, carried_meanwhile, until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World


def test_an_order_is_given_with_its_reason_and_answered(
    world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]
) -> None:
    state = until(world, Phase.OBSERVING)
    carried_meanwhile(world, state)
    assert seatrial("pause", PRODUCT, "--reason", "lunch") == 0
    assert capsys.readouterr().out.startswith("bikes v2: paused (pause by ")
    assert [order.reason for order in world.journal.orders(state.rollout_id)] == ["lunch"]


def test_a_reason_in_brackets_is_text(world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]) -> None:
    carried_meanwhile(world, until(world, Phase.OBSERVING))
    assert seatrial("pause", PRODUCT, "--reason", "[/lunch] [red]") == 0
    assert "[/lunch] [red])" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "phase", "share"),
    [("promote", "observing", 100), ("skip", "observing", 50), ("pause", "paused", 10), ("abort", "rolled_back", 0)],
)
def test_every_order_has_a_command_that_reports_as_json(
    world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str], verb: str, phase: str, share: int
) -> None:
    carried_meanwhile(world, until(world, Phase.OBSERVING))
    assert seatrial(verb, PRODUCT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verb"], told["dealt_with"], told["phase"]) == (verb, True, phase)
    assert world.served_by.get(2, 0) == share


@pytest.mark.parametrize(("verb", "why"), [("approve", "nothing is asked"), ("resume", "the rollout is not paused")])
def test_what_cannot_mean_anything_is_bad_input(
    world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str], verb: str, why: str
) -> None:
    until(world, Phase.OBSERVING)
    assert seatrial(verb, PRODUCT) == 2
    assert f"cannot {verb} now: {why}" in capsys.readouterr().err


def test_an_order_that_nobody_waits_for_any_more_is_carried_out_and_that_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = until(world, Phase.OBSERVING)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    world.clock.passing = interrupt
    monkeypatch.setattr(sys, "argv", ["seatrial", "abort", PRODUCT])
    assert main.run() == 130
    assert [order.verb for order in world.journal.orders(state.rollout_id)] == [Verb.ABORT]
    assert "an order that is written down is carried out all the same" in capsys.readouterr().err


def test_without_a_rollout_the_next_step_is_told(seatrial: Seatrial, capsys: pytest.CaptureFixture[str]) -> None:
    assert seatrial("abort", PRODUCT) == 2
    assert "no rollout of 'bikes' is under way: `seatrial explain bikes`" in capsys.readouterr().err
