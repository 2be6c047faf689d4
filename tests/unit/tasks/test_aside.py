"""Prefect hangs: nobody who looks after users waits for it."""

from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any, NoReturn

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import wiring
from deployments.rollout.state import Phase
from deployments.settings import Settings
from deployments.spec import Strategy
from tasks import rollout_steps as tasks
from tasks.prefect_artifacts import name_run
from tasks.prefect_runs import _Aside
from tasks.rollout_engine.cancellation import nobody_stops
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import begin
from tasks.run_context import open_run
from tests.unit.flows.conftest import PROJECT
from tests.unit.tasks.rollout_engine.world import World

_ENOUGH = 30.0


def test_what_hangs_is_not_waited_for_and_what_comes_after_it_keeps_its_turn() -> None:
    aside, free, done, over = _Aside(), Event(), list[str](), Event()

    def hang() -> None:
        free.wait(_ENOUGH)
        done.append("first")

    aside.do(hang, 0.01)
    aside.do(lambda: done.append("second"), 0.01)
    assert done == []
    free.set()
    aside.do(over.set, _ENOUGH)
    assert (done, over.is_set()) == (["first", "second"], True)


def test_what_goes_wrong_at_once_is_raised() -> None:
    def fail() -> NoReturn:
        raise ValueError("a defect of ours")

    with pytest.raises(ValueError, match="of ours"):
        _Aside().do(fail, _ENOUGH)


def test_an_interruption_gives_users_back_before_prefect_or_the_journal_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.run(world.wish(1))
    monkeypatch.setattr(wiring, "doors", lambda *_: world.doors)
    monkeypatch.setattr(tasks, "cancellation", lambda _: nobody_stops)
    state, carrier = begin(world.wish(2, Strategy.CANARY), world.doors), Carrier(world.doors)
    while state.phase is not Phase.OBSERVING:
        state = carrier.advance(state)
    assert world.served_by == {1: 90, 2: 10}
    asked: list[Any] = []

    def interrupt(_: timedelta) -> NoReturn:
        for name in ("rollout", "rollouts", "acquire", "save"):
            monkeypatch.setattr(world.journal, name, lambda *each: asked.append(each))
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks.Speaker, "fall_silent", lambda _: asked.append(world.served_by))
    world.clock.passing = interrupt
    with pytest.raises(KeyboardInterrupt):
        tasks.take_step.fn(state)
    assert world.served_by == {1: 100}
    assert asked == [{1: 100}], "only Prefect, and after that"
    note = world.router.retreated(state.product)
    assert note is not None
    assert note.reason == "interrupted (KeyboardInterrupt)"


def test_an_interruption_while_only_clearing_up_is_left_moves_nobody_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run(world.wish(1))
    state, carrier = begin(world.wish(2), world.doors), Carrier(world.doors)
    while not state.decided:
        state = carrier.advance(state)
    carrier.leave(state, "interrupted")
    assert world.served_by == {2: 100}


def test_a_name_that_prefect_cannot_take_ends_no_rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = "6f1c3c39-3c0f-4d0b-9d0c-7b5f0d6f2a11"
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", run_id)
    run = open_run(run_id, "flights", Settings(home=tmp_path, project=PROJECT))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        name_run(run, 3, "rollback")
