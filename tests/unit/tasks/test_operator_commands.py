"""Orders and retries as tasks."""

from datetime import timedelta
from pathlib import Path

import pytest

from deployments import wiring
from deployments.access_control.principal import at_command_line
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from deployments.settings import Settings
from deployments.spec import Strategy
from tasks import operator_commands
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import begin
from tasks.run_context import Run, open_run
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    world.run(world.wish(1))
    monkeypatch.setattr(wiring, "journal", lambda: world.journal)
    monkeypatch.setattr(operator_commands, "SystemClock", lambda: world.clock)
    monkeypatch.setattr(operator_commands, "address_of", lambda product, _: f"http://gateway/{product}")
    return world


def run() -> Run:
    opened = open_run("a run", "flights", Settings(project=PROJECT))
    return Run("a run", opened.spec.model_copy(update={"product": PRODUCT}), None, opened.started_at)


def carried(world: World) -> None:
    """v2's canary is observed, and carried on while somebody waits."""
    state, carrier, busy = begin(world.wish(2, Strategy.CANARY), world.doors), Carrier(world.doors), False
    while state.phase is not Phase.OBSERVING:
        state = carrier.advance(state)

    def passing(_: timedelta) -> None:
        nonlocal busy
        if not busy:
            busy = True
            carrier.advance(world.journal.rollout(PRODUCT, state.rollout_id))
            busy = False

    world.clock.passing = passing


@pytest.mark.parametrize(
    ("tags", "of_a_deployment", "named"),
    [
        ([], False, at_command_line()),
        ([], True, "quick-otter (Prefect)"),
        (["auto-scheduled"], True, "quick-otter (schedule)"),
        (["seatrial", "by:ada@example.org (OIDC)"], True, "ada@example.org (OIDC)"),
    ],
)
def test_an_order_is_given_in_the_name_of_whoever_started_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch, tags: list[str], of_a_deployment: bool, named: str
) -> None:
    monkeypatch.setattr("prefect.runtime.flow_run.tags", tags, raising=False)
    monkeypatch.setattr("prefect.runtime.flow_run.name", "quick-otter", raising=False)
    monkeypatch.setattr("prefect.runtime.deployment.id", "d" if of_a_deployment else None, raising=False)
    carried(world)
    assert f"paused (pause by {named}" in operator_commands.give_order.fn(PRODUCT, Verb.PAUSE, "")


def test_ending_what_is_under_way_says_what_serves(world: World) -> None:
    carried(world)
    ended = operator_commands.end_under_way.fn(run(), "rollback")
    assert ended is not None
    assert (ended.version, ended.outcome) == (1, "the rollout of v2 was ended; v1 serves as before")
    assert world.served_by == {1: 100}


def test_with_nothing_under_way_there_is_nothing_to_end(world: World) -> None:
    assert operator_commands.end_under_way.fn(run(), "rollback") is None
    assert world.served_by == {1: 100}
