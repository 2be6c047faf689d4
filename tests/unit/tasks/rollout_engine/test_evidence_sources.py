"""Which earlier evidence counts again."""

from dataclasses import replace

from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Promote
from deployments.spec import Strategy
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.evidence_sources import carried, gathered, own
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import MINUTE, World, to_its_end


def aborted(world: World, name: str, carries: str | None = None) -> RolloutState:
    wish = world.wish(2, Strategy.CANARY, rollout_id=name, carries=carries)
    state, carrier = begin(wish, world.doors), Carrier(world.doors)
    while not isinstance(state.step, Promote) and state.live and world.journal.evidence(name)[3:] == ():
        state = carrier.advance(state)
    world.journal.give(name, Verb.ABORT, "ann", "", world.clock.now())
    over = to_its_end(state, world.doors)
    world.clock.sleep(MINUTE)
    return over


def test_a_second_retry_still_has_the_evidence_of_the_first_try(served: World) -> None:
    first = aborted(served, "first")
    second = aborted(served, "second", carries="first")
    third = begin(served.wish(2, Strategy.CANARY, rollout_id="third", carries="second"), served.doors)
    assert gathered(third, served.journal) == own(first, served.journal) + own(second, served.journal)
    assert own(first, served.journal)


def test_evidence_beside_another_champion_does_not_count(served: World) -> None:
    aborted(served, "first")
    served.run(served.wish(3))
    again = begin(served.wish(2, Strategy.CANARY, rollout_id="again", carries="first"), served.doors)
    assert (again.former, gathered(again, served.journal)) == (3, ())


def test_a_retry_is_not_held_by_what_was_counted_under_a_wrong_split(served: World) -> None:
    honest = served.metrics.serve

    def lopsided(product: str, version: int, **counted: float) -> None:
        honest(product, version, **counted)  # type: ignore[arg-type]
        if version == 2:
            honest(product, version, **{**counted, "requests": 4 * counted["requests"], "errors": 0})  # type: ignore[arg-type]

    served.metrics.serve = lopsided  # type: ignore[method-assign, assignment]
    wrong = aborted(served, "first")
    assert own(wrong, served.journal)
    served.metrics.serve = honest  # type: ignore[method-assign]
    assert any(block.candidate.requests for block in own(wrong, served.journal))
    again = served.run(served.wish(2, Strategy.CANARY, rollout_id="again", carries="first"))
    assert again.phase is Phase.DONE
    assert again.updated_at - again.started_at < 6 * MINUTE
    kept = carried(again, served.journal)
    assert kept == tuple(replace(block, trusted=False) for block in own(wrong, served.journal)), "nothing is lost"


def test_harm_under_a_wrong_split_rolls_back_and_is_not_forgotten_by_a_retry(served: World) -> None:
    """Five times its share goes to the candidate, a third of it fails; later, rightly split, it would be healthy."""
    honest = served.metrics.serve

    def lopsided(product: str, version: int, **counted: float) -> None:
        honest(product, version, **counted)  # type: ignore[arg-type]
        if version == 2:
            more = {**counted, "requests": 4 * counted["requests"], "errors": 4 * counted["requests"] // 3}
            honest(product, version, **more)  # type: ignore[arg-type]

    served.metrics.serve = lopsided  # type: ignore[method-assign, assignment]
    first = served.run(served.wish(2, Strategy.CANARY, rollout_id="first"))
    assert first.phase is Phase.ROLLED_BACK
    assert "errors: " in first.reason
    served.metrics.serve = honest  # type: ignore[method-assign]
    served.clock.sleep(MINUTE)
    again = served.run(served.wish(2, Strategy.CANARY, rollout_id="again", carries="first"))
    assert again.phase is Phase.ROLLED_BACK
    assert "errors: " in again.reason
    assert not any(block.candidate.errors for block in own(again, served.journal))
    assert not any(block.trusted for block in carried(again, served.journal))
