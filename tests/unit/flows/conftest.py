"""The command line over a platform in memory."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from deployments import wiring
from deployments.metrics.feedback.store import FeedbackLedger
from deployments.rollout.state import Phase, RolloutState
from deployments.settings import Settings
from deployments.spec import Strategy
from flows.entrypoints.cli import explanation, live_screen, main, status
from flows.reports import release_plan
from tasks.rollout_engine import local_rollouts
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import begin
from tests.closed_ledgers import closed_ledgers
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

PROJECT = Path(__file__).parents[3]
Seatrial = Callable[..., int]


def project(folder: Path) -> Path:
    """A project with the spec of flights, whose rollout section is all defaults."""
    spec = yaml.safe_load((PROJECT / "specs" / "flights.yaml").read_text())
    (folder / "specs").mkdir(exist_ok=True)
    (folder / "specs" / "flights.yaml").write_text(yaml.safe_dump(spec | {"rollout": {"replicas": 2}}))
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[FeedbackLedger]:
    """Of feedback, in a database of the test's own."""
    ledger = FeedbackLedger(f"sqlite:///{tmp_path / 'journal.db'}")
    yield ledger
    ledger.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """v1 is champion of a product whose doors the command line finds."""
    world = World(tmp_path)
    world.run(world.wish(1))
    world.clock.sleep(timedelta(seconds=1))
    settings = Settings(home=tmp_path, project=project(tmp_path))
    monkeypatch.setattr(local_rollouts, "_NEWEST", {})  # rollouts of other tests have the same ids
    for name, door in (
        ("journal", world.journal),
        ("registry", world.registry),
        ("read_only_doors", world.doors),
        ("read_only_doors_of", world.doors),
    ):
        monkeypatch.setattr(wiring, name, lambda *_, door=door: door)
    for module in (explanation, release_plan, status, live_screen):
        monkeypatch.setattr(module, "SystemClock", lambda: world.clock)
    for module in (release_plan, status):
        monkeypatch.setattr(module, "current", lambda: settings)
    monkeypatch.setattr("deployments.clock.SystemClock", lambda: world.clock)
    return world


@pytest.fixture
def seatrial(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seatrial]:
    """Runs the command line; returns its exit code."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["seatrial", *arguments])
        return main.run()

    with closed_ledgers(monkeypatch):
        yield run


def until(world: World, phase: Phase, strategy: Strategy = Strategy.CANARY) -> RolloutState:
    """A rollout of v2 that this process carries, in `phase`."""
    state, carrier = begin(world.wish(2, strategy), world.doors), Carrier(world.doors)
    while state.phase is not phase:
        state = carrier.advance(state)
    return state


def carried_meanwhile(world: World, state: RolloutState) -> None:
    """While somebody waits, the rollout is carried on, as another process does."""
    carrier, traffic, busy = Carrier(world.doors), world.clock.passing, False

    def passing(duration: timedelta) -> None:
        nonlocal busy
        traffic(duration)
        if not busy:
            busy = True
            carrier.advance(world.journal.rollout(PRODUCT, state.rollout_id))
            busy = False

    world.clock.passing = passing
