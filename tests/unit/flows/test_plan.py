"""`plan`: what a release would do, moving nothing."""

import json

import pytest

from deployments import wiring
from deployments.settings import Settings
from flows.reports import release_plan
from tests.unit.flows.conftest import Seatrial
from tests.unit.tasks.rollout_engine.world import FACTS, World

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def flights(world: World) -> World:
    """v2 of flights is champion of three versions."""
    for _ in range(3):
        world.registry.add("flights", FACTS, world.folder)
    world.registry.promote("flights", 2, world.clock.now(), None)
    return world


def test_the_plan_is_that_of_the_next_version_against_the_champion(
    flights: World, seatrial: Seatrial, capsys: Captured
) -> None:
    assert seatrial("plan", "flights", "--strategy", "canary", "--rate", "20", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["candidate"], told["champion"], told["strategy"]) == (4, 2, "canary")
    assert told["steps"][2]["step"] == "shift traffic to v2 95 %, v4 5 %"
    assert told["traffic"]["requests_per_second"] == 20
    assert told["seconds"] >= 1500


def test_a_schedule_that_cannot_conclude_is_warned_of(flights: World, seatrial: Seatrial, capsys: Captured) -> None:
    assert seatrial("plan", "flights", "--strategy", "canary", "--rate", "0.001") == 0
    told = capsys.readouterr()
    assert "warning: step 10: proving error_rate within 1 % at 50 % takes about" in told.err
    assert "more than the deadline of 24 h: it is then rolled back" in told.err
    assert "10  watch for 5m and until proved not worse" in told.out


@pytest.mark.parametrize("strategy", ["canary", "ab", "shadow"])
def test_hardly_any_traffic_is_no_reason_to_break(
    flights: World, seatrial: Seatrial, capsys: Captured, strategy: str
) -> None:
    assert seatrial("plan", "flights", "--strategy", strategy, "--rate", "1e-12") == 0
    assert "more than the deadline" in capsys.readouterr().err


def test_a_first_release_needs_no_traffic(seatrial: Seatrial, capsys: Captured) -> None:
    assert seatrial("plan", "flights", "--strategy", "canary") == 0
    told = capsys.readouterr()
    assert "flights: v1 by canary as the first version, which serves at once" in told.out
    assert "Expected: what nobody knows before: launch, verify, shift, promote." in told.out
    assert (told.err, "watch" in told.out) == ("", False)


def test_without_a_home_nothing_is_made(world: World, seatrial: Seatrial, monkeypatch: pytest.MonkeyPatch) -> None:
    home = world.folder / "none-yet"
    monkeypatch.setattr(release_plan, "current", lambda: Settings(home=home, project=world.folder))
    for door in ("journal", "registry", "read_only_doors"):
        monkeypatch.setattr(wiring, door, lambda *_: pytest.fail("nothing may be opened"))
    assert seatrial("plan", "flights") == 0
    assert not home.exists()


def test_counters_that_cannot_be_read_leave_the_times_out(flights: World, seatrial: Seatrial, capsys: Captured) -> None:
    flights.metrics.fail("the gateway is away")
    assert seatrial("plan", "flights", "--strategy", "canary", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["traffic"] == {"requests_per_second": None, "error_rate": None}
    assert told["steps"][9]["seconds"] is None
    assert told["steps"][9]["requests"] > 0
