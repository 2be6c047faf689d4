"""Prefect goes away under a rollout: the champion is put back without it."""

from collections.abc import Callable, Iterator
from typing import NoReturn

import httpx
import pytest
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import wiring
from deployments.errors import Busy, JournalUnreachable, RolloutFailed
from deployments.rollout.state import Phase
from flows import rollout as flow
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.local_rollouts import remember_state
from tests.unit.flows.conftest import until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World, to_its_end

NOWHERE = "http://127.0.0.1:9/api"


@pytest.fixture(autouse=True)
def prefect_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(wiring, "doors", lambda _: world.doors)
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        yield


def failing(error: BaseException) -> Callable[[], NoReturn]:
    def carry() -> NoReturn:
        raise error

    return carry


def test_a_step_that_prefect_cannot_begin_gives_users_back_and_ends_the_rollout(world: World) -> None:
    until(world, Phase.OBSERVING)
    assert world.served_by == {1: 90, 2: 10}
    with pytest.raises(RolloutFailed, match=r"ConnectError.*v1 serves as before"):
        flow._or_put_back(PRODUCT, "rollout-2", failing(httpx.ConnectError("refused")))
    world.settled()
    assert world.journal.rollout(PRODUCT, "rollout-2").phase is Phase.ROLLED_BACK


def test_with_the_journal_away_too_what_this_process_knows_is_enough(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = until(world, Phase.OBSERVING)
    whole = world.journal.rollout

    def away(*_: object) -> object:
        raise JournalUnreachable("the journal does not answer")

    def carry() -> NoReturn:
        remember_state(state)
        monkeypatch.setattr(world.journal, "rollout", away)
        monkeypatch.setattr(world.journal, "acquire", away)
        raise httpx.ConnectError("refused")

    with pytest.raises(JournalUnreachable):
        flow._or_put_back(PRODUCT, "rollout-2", carry)
    assert world.served_by == {1: 100}
    for name in ("rollout", "acquire"):
        monkeypatch.delattr(world.journal, name)
    assert whole(PRODUCT, "rollout-2").phase is Phase.OBSERVING
    assert world.resume("rollout-2").phase is Phase.ROLLED_BACK
    world.settled()


def test_a_rollout_that_somebody_else_carries_is_left_alone(world: World) -> None:
    until(world, Phase.OBSERVING)
    world.journal.release(hold(PRODUCT, world.doors))
    with pytest.raises(Busy):
        flow._or_put_back(PRODUCT, "rollout-2", failing(Busy("another carries it")))
    assert world.served_by == {1: 90, 2: 10}


def test_a_rollout_without_a_process_is_carried_to_its_end_although_prefect_can_begin_no_run(world: World) -> None:
    until(world, Phase.OBSERVING)
    world.errors[2] = 0.6
    with pytest.raises(RolloutFailed, match="v1 serves as before"):
        flow.carry_without_prefect(PRODUCT, "rollout-2")
    world.settled()


def conflict() -> PrefectHTTPStatusError:
    """What Prefect says of a task run whose flow run is gone."""
    request = httpx.Request("POST", f"{NOWHERE}/task_runs/")
    answer = httpx.Response(409, request=request, json={"detail": "Data integrity conflict."})
    return PrefectHTTPStatusError("409 Conflict", request=request, response=answer)


@pytest.mark.parametrize("error", [ObjectNotFound(Exception("no such flow run")), conflict()])
def test_a_rollout_whose_run_was_deleted_goes_on(world: World, error: Exception) -> None:
    remember_state(until(world, Phase.OBSERVING))
    done = flow._or_put_back(PRODUCT, "rollout-2", failing(error))
    assert done.version == 2
    assert world.served_by == {2: 100}
    world.settled()


def test_harm_ends_a_rollout_whose_run_was_deleted(world: World) -> None:
    remember_state(until(world, Phase.OBSERVING))
    world.errors[2] = 0.6
    with pytest.raises(RolloutFailed, match="v1 serves as before"):
        flow._or_put_back(PRODUCT, "rollout-2", failing(conflict()))
    assert world.served_by == {1: 100}
    world.settled()


def test_a_rollout_that_arrived_has_arrived_though_prefect_could_not_be_told(world: World) -> None:
    state = to_its_end(until(world, Phase.OBSERVING), world.doors)
    assert state.phase is Phase.DONE
    done = flow._or_put_back(PRODUCT, "rollout-2", failing(httpx.ConnectError("refused")))
    assert done.version == 2
    world.settled()
