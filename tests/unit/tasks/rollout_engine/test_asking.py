"""A rollout asks the journal, the counters and the gateway no more than it has to: on a cluster each is a request."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deployments.errors import JournalUnreachable
from deployments.process_identity import Owner
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe, Shift
from deployments.spec import Strategy
from deployments.targets.protocol import Launch
from deployments.traffic import Weights
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.lease import LEASE, hold
from tasks.rollout_engine.takeover import begin
from tasks.rollout_engine.traffic_shift import retire, shift
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World

ELSEWHERE = Owner("another-host", 1, 0.0)


class Listened:
    """A door of which every call is counted, and told to `after` when it was done."""

    def __init__(self, door: Any, **attributes: Any) -> None:
        self._door, self._attributes = door, attributes
        self.calls: Counter[str] = Counter()
        self.after: Callable[[str], None] = lambda name: None

    def __getattr__(self, name: str) -> Any:
        if name in self._attributes:
            return self._attributes[name]
        found = getattr(self._door, name)
        return self._listened(name, found) if callable(found) else found

    def _listened(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def listened(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            done = act(*arguments, **options)
            self.after(name)
            return done

        return listened


def watching(world: World, journal: Any) -> tuple[Carrier, RolloutState]:
    """v2's canary after its first look."""
    doors = replace(world.doors, journal=journal)
    state, carrier = begin(world.wish(2, Strategy.CANARY), doors), Carrier(doors)
    while not isinstance(state.step, Observe):
        state = carrier.advance(state)
    return carrier, carrier.advance(state)


def test_a_look_reads_neither_the_state_nor_the_evidence_that_it_wrote_itself(served: World) -> None:
    journal = Listened(served.journal, orders_every=SECTION.analysis.interval / 2)
    carrier, state = watching(served, journal)
    journal.calls.clear()
    for _ in range(3):
        state = carrier.advance(state)
    assert journal.calls == {"acquire": 6, "orders": 6, "save": 3}


def test_after_a_write_whose_answer_was_lost_the_journal_says_how_far_it_is_and_what_was_seen(
    served: World,
) -> None:
    journal = Listened(served.journal)
    carrier, state = watching(served, journal)

    def lost(name: str) -> None:
        if name == "save":
            journal.after = lambda _: None
            raise JournalUnreachable("the answer got lost")

    journal.after = lost
    assert carrier.advance(state) is state, "nothing moves on without the journal"
    written = served.journal.rollout(PRODUCT, state.rollout_id)
    assert written.observed > state.observed
    assert carrier.advance(state).observed > written.observed
    assert carrier.watcher.evidence == served.journal.evidence(state.rollout_id)
    assert len(carrier.watcher.evidence) == 4, "what was seen meanwhile counts, and nothing counts twice"


def test_who_lost_the_lease_and_got_it_back_reads_what_others_wrote_meanwhile(served: World) -> None:
    carrier, state = watching(served, served.journal)
    served.journal.release(hold(PRODUCT, served.doors))
    theirs = served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), LEASE)
    served.journal.save(state.with_phase(Phase.RESTORING, "they say so", served.clock.now()), theirs)
    served.journal.release(theirs)
    assert carrier.advance(state).phase is Phase.ROLLED_BACK


@pytest.mark.parametrize(("strategy", "paired"), [(Strategy.CANARY, False), (Strategy.SHADOW, True)])
def test_pairs_are_asked_for_only_where_requests_are_mirrored(served: World, strategy: Strategy, paired: bool) -> None:
    asked: set[bool] = set()

    class Asked:
        def read(self, *arguments: Any, paired: bool = True) -> Any:
            asked.add(paired)
            return served.metrics.read(*arguments)

        heard = served.metrics.heard

    doors = replace(served.doors, metrics=Asked())
    state, carrier = begin(served.wish(2, strategy), doors), Carrier(doors)
    while not isinstance(state.step, Observe):
        state = carrier.advance(state)
    carrier.advance(state)
    assert asked == {paired}


def test_who_drains_asks_less_and_less_often_whether_all_is_answered(served: World) -> None:
    served.target.launch(Launch(PRODUCT, 2, served.folder, 1))
    shift(PRODUCT, Shift(Weights.all_to(1)), served.doors)
    asked: list[float] = []

    def busy(*_: object) -> int:
        asked.append(served.clock.monotonic())
        return 1

    section = SECTION.model_copy(update={"drain_timeout": timedelta(seconds=30)})
    retire(PRODUCT, 2, section, replace(served.doors, router=Listened(served.router, in_flight=busy)))
    assert asked[-1] - asked[0] >= 29
    assert asked[1] - asked[0] < 0.2
    assert len(asked) < 40
