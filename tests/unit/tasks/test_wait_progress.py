"""Whoever waits is told what for, again and again, and what would end it."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments import wiring
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Approve, Launch, Observe
from deployments.spec import BlueGreenSection, Second, Strategy, TargetKind
from deployments.targets.in_memory import Behaviour
from deployments.targets.protocol import Replica, ReplicaState
from tasks import rollout_steps as tasks
from tasks.rollout_engine.cancellation import nobody_stops
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.command_submission import place_order
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.server_launch import _still_waiting
from tasks.rollout_engine.takeover import begin
from tasks.wait_progress import telling_of_order, telling_of_queue
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> World:
    """v1 is champion."""
    world = World(tmp_path)
    world.run(world.wish(1))
    monkeypatch.setattr(wiring, "doors", lambda *_: world.doors)
    monkeypatch.setattr(tasks, "cancellation", lambda _: nobody_stops)
    monkeypatch.setattr(tasks, "leave_evidence", lambda *_: None)
    caplog.set_level(logging.INFO, "seatrial")
    return world


def told(caplog: pytest.LogCaptureFixture, event: str = "rollout.waiting") -> list[dict[str, Any]]:
    return [record.facts for record in caplog.records if getattr(record, "event", "") == event]  # type: ignore[attr-defined]


def until_step(world: World, kind: type, strategy: Strategy) -> RolloutState:
    asking = SECTION.model_copy(update={"blue_green": BlueGreenSection(preview=MINUTE / 2, approve=kind is Approve)})
    state, carrier = begin(world.wish(2, strategy, section=asking), world.doors), Carrier(world.doors)
    while not isinstance(state.step, kind):
        state = carrier.advance(state)
    return state


def after(world: World, duration: timedelta, act: Callable[[], object]) -> None:
    """Do it once, when so much time has passed."""
    traffic, at = world.clock.passing, world.clock.monotonic() + duration.total_seconds()

    def passing(waited: timedelta) -> None:
        traffic(waited)
        if world.clock.monotonic() >= at:
            world.clock.passing = traffic
            act()

    world.clock.passing = passing


def test_a_bake_without_traffic_is_not_silent(world: World, caplog: pytest.LogCaptureFixture) -> None:
    state = until_step(world, Observe, Strategy.BLUE_GREEN)
    while state.done < 5 or not isinstance(state.step, Observe):
        state = tasks.take_step.fn(state)
    world.rate = 0.0
    caplog.clear()
    doors, began = world.doors, world.clock.monotonic()
    after(world, 45 * MINUTE, lambda: doors.journal.give(state.rollout_id, Verb.SKIP, "ann", "", doors.clock.now()))
    done = tasks.take_step.fn(state)
    assert done.done > state.done
    assert world.clock.monotonic() - began < 50 * 60
    held = [each for each in told(caplog) if "no traffic" in each["waits_for"]]
    assert len(held) == 7, "at once, after 1, 2, 5, 10, 25, 40 minutes"
    assert held[0]["ended_by"] == "`seatrial skip bikes`, `seatrial abort bikes`"
    assert held[0]["ends"].endswith("it is rolled back")


def test_a_question_is_asked_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    state = until_step(world, Approve, Strategy.BLUE_GREEN)
    after(world, 6 * MINUTE, lambda: world.journal.give(state.rollout_id, Verb.APPROVE, "ann", "", world.clock.now()))
    tasks.take_step.fn(state)
    assert [each["waits_for"] for each in told(caplog)] == ["a person's answer: give all traffic to v2?"] * 4
    assert told(caplog)[0]["ended_by"].startswith("`seatrial approve bikes`")


def test_a_launch_that_takes_long_is_told_of_before_it_is_over(world: World, caplog: pytest.LogCaptureFixture) -> None:
    state = until_step(world, Launch, Strategy.ROLLING)
    world.target.script(PRODUCT, 2, Behaviour.NEVER_READY)
    with pytest.raises(Exception, match="not ready"):
        tasks.take_step.fn(state)
    assert told(caplog)[0]["waits_for"] == "2 servers of v2 to get ready"
    assert told(caplog)[0]["ends"].endswith("it is given up")


def test_whoever_queues_behind_a_rollout_is_told_what_that_one_waits_for(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    until_step(world, Observe, Strategy.CANARY)
    world.journal.release(hold(PRODUCT, world.doors))
    lease = world.journal.acquire(PRODUCT, Owner("elsewhere", 1, 0.0), world.clock.now(), timedelta(days=1))
    after(world, 7 * MINUTE, lambda: world.journal.release(lease))
    section = SECTION.model_copy(update={"second": Second.QUEUE})
    begin(world.wish(3, section=section), telling_of_queue(PRODUCT, "rollout-3", world.doors))
    assert told(caplog)[0]["waits_for"] == "the rollout of v2 to end"
    assert told(caplog)[0]["ended_by"] == "`seatrial abort bikes`"
    assert len(told(caplog)) >= 4


def test_an_order_that_is_not_come_to_yet_is_told_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    until_step(world, Launch, Strategy.ROLLING)
    place_order(PRODUCT, Verb.ABORT, "ann", "", world.journal, telling_of_order(PRODUCT, world.journal, world.clock))
    assert told(caplog, "order.waiting")[0]["waits_for"].endswith("2 servers of v2 to get ready")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (TargetKind.LOCAL, "see `seatrial logs model-bikes-v2-0`"),
        (TargetKind.KUBERNETES, "see `kubectl logs model-bikes-v2-0 -n shop`"),
    ],
)
def test_a_server_that_is_not_ready_is_told_with_where_its_log_is(target: TargetKind, told: str) -> None:
    section = SECTION.model_copy(
        update={"target": target, "kubernetes": SECTION.kubernetes.model_copy(update={"namespace": "shop"})}
    )
    waiting = Replica("model-bikes-v2-0", "/run/x.sock", ReplicaState.STARTING)
    assert told in _still_waiting((waiting,), 2, section)
    assert "logs" not in _still_waiting((), 2, section), "there is no log of a server that is not there"
