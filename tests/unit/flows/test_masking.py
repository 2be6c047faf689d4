"""What goes wrong while an error is dealt with takes no error's place."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from deployments import wiring
from deployments.errors import Busy, GateRefused, JournalUnreachable, NeverReady, RegistryUnreachable, SeatrialError
from deployments.process_identity import Owner
from deployments.settings import Settings
from deployments.targets.protocol import Launch
from deployments.traffic import Backend, Routing, Weights
from flows import rollout as flow
from flows.entrypoints.cli import main
from tasks.decision_log import failure_recorded
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.local_rollouts import remember_state
from tasks.rollout_engine.takeover import begin
from tasks.rollout_steps import abandon
from tasks.run_context import open_run
from tasks.secondary_errors import failing_instead, full_text, noting_failures
from tests.unit.flows.conftest import PROJECT
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

ELSEWHERE = Owner("another-host", 1, 0.0)


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


def test_a_second_run_of_a_product_is_told_who_is_busy_and_not_that_it_has_no_rollout(world: World) -> None:
    """It never came to be in the journal: two runs of one product, started from Prefect's pages."""
    begin(world.wish(2), world.doors)
    world.journal.release(hold(PRODUCT, world.doors))
    world.journal.acquire(PRODUCT, ELSEWHERE, world.clock.now(), timedelta(days=1))
    second = world.wish(3, rollout_id="the second run")

    def carry() -> Any:
        return begin(second, world.doors)

    with pytest.raises(Busy, match="process 1 on another-host is changing its traffic"):
        flow._or_put_back(PRODUCT, second.rollout_id, carry)


@pytest.mark.parametrize("error", [GateRefused("not good enough"), NeverReady("v2 cannot start"), KeyboardInterrupt()])
def test_a_journal_that_is_away_when_an_error_is_dealt_with_hides_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(wiring, "journal", raising(JournalUnreachable("the journal does not answer")))
    monkeypatch.setattr(flow, "PRESENT", type(flow.PRESENT)())
    with pytest.raises(type(error)) as caught:
        flow._or_put_back(PRODUCT, "a rollout", raising(error))
    assert str(error) in str(caught.value)


def test_a_champion_that_cannot_be_put_back_is_the_worse_news_and_tells_of_both(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = begin(world.wish(2), world.doors)
    monkeypatch.setattr(wiring, "doors", lambda _: world.doors)
    monkeypatch.setattr(flow, "_put_back", raising(RegistryUnreachable("MLflow does not answer")))
    with pytest.raises(RegistryUnreachable) as caught:
        flow._or_put_back(PRODUCT, state.rollout_id, raising(NeverReady("v2 cannot start: no memory")))
    assert isinstance(caught.value.__cause__, NeverReady)
    assert full_text(caught.value).splitlines() == [
        "MLflow does not answer",
        "this was putting the champion back, after: v2 cannot start: no memory",
    ]


def test_a_history_that_takes_nothing_hides_no_refusal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "journal", raising(JournalUnreachable("the journal does not answer")))
    run = open_run("a run", "flights", Settings(project=PROJECT))
    with pytest.raises(GateRefused, match="not good enough") as caught, failure_recorded(run):
        raise GateRefused("not good enough")
    assert "writing it into the history failed, too: the journal does not answer" in full_text(caught.value)


def test_the_terminal_tells_of_both(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = GateRefused("not good enough")
    error.add_note("writing it into the history failed, too: the journal does not answer")
    monkeypatch.setattr(main, "app", raising(error))
    assert main.run() == GateRefused.exit_code
    said = capsys.readouterr().err
    assert "not good enough" in said
    assert "the journal does not answer" in said


def test_an_error_that_comes_out_of_its_own_aftermath_is_told_once() -> None:
    first = Busy("once")
    with pytest.raises(Busy) as caught, failing_instead(first, "putting the champion back"):
        raise first
    with noting_failures(first, "writing it down"):
        raise first
    assert (full_text(caught.value), caught.value.__cause__) == ("once", None)


def test_an_interruption_in_an_aftermath_is_none_of_its_errors() -> None:
    for block in (failing_instead, noting_failures):
        with pytest.raises(KeyboardInterrupt), block(SeatrialError("first"), "anything"):
            raise KeyboardInterrupt


def test_a_late_process_whose_journal_is_away_gives_nobody_back_against_its_successor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped in a step; meanwhile v2 was promoted by another one, and v1 is still warm."""
    state = remember_state(begin(world.wish(2), world.doors))
    mine = hold(PRODUCT, world.doors)
    world.journal.release(mine)
    theirs = world.journal.acquire(PRODUCT, ELSEWHERE, world.clock.now(), timedelta(days=1))
    world.doors.target.launch(Launch(PRODUCT, 2, world.folder, 1), theirs.token)
    both = tuple(
        Backend(version, tuple(each.address for each in world.target.replicas(PRODUCT, version))) for version in (1, 2)
    )
    world.router.apply(PRODUCT, Routing(both, Weights.all_to(2)), theirs.token)
    monkeypatch.setattr(wiring, "journal", raising(JournalUnreachable("the journal does not answer")))
    late = replace(world.doors, last_lease=lambda _: mine)
    monkeypatch.setattr(wiring, "doors", lambda _: late)
    with pytest.raises(Busy, match="another-host"):  # that journal is back by then
        abandon(PRODUCT, state.rollout_id, NeverReady("v2 is late"))
    assert world.served_by == {2: 100}
