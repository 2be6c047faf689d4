"""`status`, `watch`, `explain` and `replay` over a platform in memory."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from deployments.analysis.evidence import Counts
from deployments.errors import RouterUnreachable
from deployments.journals.protocol import Event
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from deployments.routers.in_memory import InMemoryRouter
from deployments.spec import Strategy
from flows.entrypoints.cli.live_screen import bar, picture, progress, weights
from flows.entrypoints.cli.status import _rollout_lines, _under_way
from flows.reports.rollout import state_report
from tasks.rollout_engine.explanation import explain
from tasks.rollout_engine.lease import hold
from tests.unit.flows.conftest import Seatrial, carried_meanwhile, until
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, World

Captured = pytest.CaptureFixture[str]


def test_watch_ends_with_the_rollout_and_its_outcome(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    carried_meanwhile(world, until(world, Phase.OBSERVING))
    assert seatrial("watch", PRODUCT) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("bikes v2: done (v2 serves all traffic")
    assert "v1 90 %, v2 10 %" in told[0]
    assert len(told) == len(set(told)), "a line is told once"


def test_watch_ends_with_4_when_the_champion_was_put_back(world: World, seatrial: Seatrial) -> None:
    world.errors[2] = 0.4
    carried_meanwhile(world, until(world, Phase.OBSERVING))
    assert seatrial("watch", PRODUCT) == 4


def test_watch_without_a_rollout_says_where_the_last_one_is(seatrial: Seatrial, capsys: Captured) -> None:
    assert seatrial("watch", PRODUCT) == 2
    assert "`seatrial explain bikes` shows the last one" in capsys.readouterr().err


def test_the_picture_shows_phase_split_time_and_each_metric(world: World) -> None:
    until(world, Phase.OBSERVING)
    carried_meanwhile(world, world.journal.rollout(PRODUCT, "rollout-2"))
    world.clock.sleep(world.journal.rollout(PRODUCT, "rollout-2").section.analysis.interval)
    found = explain(PRODUCT, None, world.journal, world.clock.now())
    drawing = Console(width=200, record=True, file=None, quiet=False)
    with drawing.capture() as capture:
        drawing.print(picture(found, weights(PRODUCT, world.router), world.clock))
    text = capture.get()
    for part in ("bikes v2 by canary", "v1 90 %, v2 10 %", "of 60 s healthy time", "error_rate", "latency", "ago"):
        assert part in text


def test_the_bar_is_full_at_proof_and_half_way_at_the_root() -> None:
    assert bar(100.0, 100.0) == bar(float("inf"), 100.0) == "█" * 20
    assert bar(10.0, 100.0) == "█" * 10 + "░" * 10
    assert bar(0.0, 100.0) == bar(1.0, 100.0) == "░" * 20


def test_a_step_without_observation_has_no_progress(world: World) -> None:
    state = until(world, Phase.OBSERVING)
    assert progress(state) == "0 s of 60 s healthy time"
    assert progress(replace(state, done=0)) == ""


def test_a_gateway_that_is_away_is_told_as_such() -> None:
    class Away(InMemoryRouter):
        def read(self, product: str) -> None:
            raise RouterUnreachable("away")

    assert weights(PRODUCT, Away()) == "the gateway does not answer"
    assert weights(PRODUCT, InMemoryRouter()) == "no route"


def test_explain_fits_one_screen_and_has_every_part(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    world.errors[2] = 0.4
    world.run(world.wish(2, Strategy.CANARY))
    assert seatrial("explain", PRODUCT) == 0
    told = capsys.readouterr().out
    assert len(told.splitlines()) <= 30
    assert re.search(
        r"bikes: v2 by canary against v1.*asked.*rolled back.*✗ errors: .*decided.*judged +roll back", told, re.S
    )


def test_explain_of_a_rollout_under_way_says_what_is_needed(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    until(world, Phase.OBSERVING)
    assert seatrial("explain", PRODUCT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["phase"], told["needed"]) == ("observing", ["60 s more of healthy time"])
    assert told["carried_by"]


def test_replay_ends_with_0_when_every_verdict_holds(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    world.run(world.wish(2, Strategy.CANARY))
    assert seatrial("replay", PRODUCT) == 0
    assert "verdicts identical" in capsys.readouterr().out


def test_replay_ends_with_1_when_a_count_was_changed(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    world.errors[2] = 0.4
    world.run(world.wish(2, Strategy.CANARY))
    blocks = world.journal._blocks["rollout-2"]
    blocks[0] = replace(blocks[0], candidate=Counts(requests=blocks[0].candidate.requests))
    assert seatrial("replay", PRODUCT, "--json") == 1
    assert not json.loads(capsys.readouterr().out)["identical"]


def test_a_number_that_json_cannot_say_is_null(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    scores = {"roc_auc": float("nan"), "bounds": [float("inf"), 0.5]}
    world.journal.record(Event(PRODUCT, "run", world.clock.now(), "gate.refused", {"scores": scores}))
    assert seatrial("history", PRODUCT, "--limit", "1", "--json") == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    (told,) = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert told["scores"] == {"roc_auc": None, "bounds": [None, 0.5]}


def test_status_tells_rollouts_under_way_and_who_carries_them(world: World) -> None:
    assert _under_way(None) == []
    until(world, Phase.OBSERVING)
    (told,) = _under_way(PRODUCT)
    assert (told["candidate"], told["strategy"], told["phase"], told["doing"]) == (
        2,
        "canary",
        "observing",
        "watch for 1m",
    )
    assert told["carried_by"]
    world.journal.release(world.journal._leases[PRODUCT][0])
    assert _under_way(None)[0]["carried_by"] is None
    assert _under_way("another") == []


def test_a_hold_is_told_with_its_end_and_its_commands(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    world.rate = 0.0
    until(world, Phase.HOLDING)
    [told] = _under_way(PRODUCT)
    assert told["waiting"]["for"] == "something to judge v2 by (no traffic)"
    assert told["waiting"]["commands"] == ["seatrial skip bikes", "seatrial promote bikes", "seatrial abort bikes"]
    assert told["waiting"]["then"] == "it is rolled back"
    assert seatrial("status", PRODUCT) in {0, 5}
    said = " ".join(capsys.readouterr().out.split())
    assert "waits for something to judge v2 by (no traffic), for" in said
    assert "it is rolled back; `seatrial skip bikes` or `seatrial promote bikes` or `seatrial abort bikes`" in said
    assert seatrial("explain", PRODUCT) == 0
    assert "`seatrial skip bikes`" in capsys.readouterr().out


def test_watch_says_again_what_is_waited_for(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    world.rate = 0.0
    state = until(world, Phase.HOLDING)
    carried_meanwhile(world, state)
    traffic, end = world.clock.passing, world.clock.now() + 12 * MINUTE

    def passing(duration: timedelta) -> None:
        traffic(duration)
        if world.clock.now() >= end and not world.journal.orders(state.rollout_id):
            world.journal.give(state.rollout_id, Verb.ABORT, "ann", "", world.clock.now())

    world.clock.passing = passing
    assert seatrial("watch", PRODUCT) == 4
    waits = [line for line in capsys.readouterr().out.splitlines() if line.startswith("waits for something to judge")]
    assert len(waits) == 5, "at once, after 1, 2, 5 and 10 minutes"


def test_a_rollout_that_nobody_carries_is_told_with_what_to_do(world: World, seatrial: Seatrial) -> None:
    state = until(world, Phase.OBSERVING)
    world.journal.release(hold(PRODUCT, world.doors))
    lines = list(_rollout_lines(state_report(state) | {"carried_by": None, "sentence": "waits"}))
    assert lines[-1] == "  the platform carries it on within a minute, if it is up; `seatrial abort bikes` ends it"
