"""Whatever befalls rollouts, in any order: users are answered, nothing is shortened, and in the end all is settled."""

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from deployments.errors import Busy, RolloutFailed
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve, Observe, Shift, Wait
from deployments.spec import BlueGreenSection, CanarySection, CanaryStep, OnDeadline, RolloutSection, Second, Strategy
from deployments.strategies.plan import Goal
from deployments.targets.in_memory import Behaviour
from deployments.traffic import Routing, Weights
from tasks.rollout_engine.takeover import Wish, begin, orphans, settle_before_release, take_over
from tests.unit.tasks.rollout_engine.sea import IMMORTAL, UNREACHABLE, Process, Someone, process, someone
from tests.unit.tasks.rollout_engine.world import FACTS, MINUTE, PRODUCT, SECTION, World, history

WAITED_FOR = {Phase.OBSERVING: Observe, Phase.HOLDING: Observe, Phase.WAITING: Approve}
STRATEGIES = st.sampled_from([*Strategy, Strategy.CANARY, Strategy.CANARY])
FITNESS = ["healthy", "healthy", "healthy", "harmful", "slow", "mute", *list(Behaviour)[1:]]
MANY = 8
ON = st.integers(0, MANY)
LIVES = st.one_of(st.just(IMMORTAL), st.integers(0, 40))


def sections(second: Second, asking: bool, on_deadline: OnDeadline) -> RolloutSection:
    steps = (CanaryStep(weight=10), CanaryStep(weight=50, approve=asking))
    changes = {
        "second": second,
        "canary": CanarySection(steps=steps, wait=MINUTE),
        "blue_green": BlueGreenSection(preview=MINUTE / 2, approve=asking),
        "analysis": SECTION.analysis.model_copy(update={"deadline": 20 * MINUTE, "on_deadline": on_deadline}),
    }
    return SECTION.model_copy(update=changes)


SECTIONS = st.builds(sections, st.sampled_from(Second), st.booleans(), st.sampled_from(OnDeadline))


class Sea(RuleBasedStateMachine):
    """One product at sea: `crew` are the processes that live, `asleep` those that were stopped and may wake up."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="seatrial-sea-"))
        self.world = World(self.folder)
        self.crew: list[Process] = []
        self.asleep: list[Process] = []
        self.gone: set[int] = set()
        self.away: dict[str, datetime] = {}
        self.began: dict[tuple[object, ...], datetime] = {}
        self.harmful: set[int] = set()
        self.blind: set[str] = set()
        self.edited = self.outage = False
        self.count = 0

    # What happens

    @initialize()
    def a_champion_serves(self) -> None:
        self.world.run(self.world.wish(1))

    @precondition(lambda self: self.live is None)
    @rule(fitness=st.sampled_from(FITNESS), strategy=STRATEGIES, section=SECTIONS, then=ON)
    def release(self, fitness: str, strategy: Strategy, section: RolloutSection, then: int) -> None:
        self.begin(self.wish(fitness, strategy, section))
        self.carry_on(then)

    @precondition(lambda self: self.live is None)
    @rule(again=st.booleans(), strategy=STRATEGIES, section=SECTIONS, then=ON)
    def retry_or_roll_back(self, again: bool, strategy: Strategy, section: RolloutSection, then: int) -> None:
        self.begin(self.wish_again(strategy, section) if again else self.wish_back(strategy, section))
        self.carry_on(then)

    @precondition(lambda self: self.live is not None)
    @rule(kind=st.sampled_from(["new", "again", "back"]), strategy=STRATEGIES, section=SECTIONS, life=LIVES, then=ON)
    def second_rollout(self, kind: str, strategy: Strategy, section: RolloutSection, life: int, then: int) -> None:
        match kind:
            case "new":
                wish = self.wish("healthy", strategy, section)
            case "again":
                wish = self.wish_again(strategy, section)
            case _:
                wish = self.wish_back(strategy, section)
        self.begin(wish, life)
        self.carry_on(then)

    @precondition(lambda self: self.crew)
    @rule(life=st.integers(0, 12), found=st.booleans(), then=ON)
    def kill(self, life: int, found: bool, then: int) -> None:
        """At once, or in the middle of what comes next; the watchdog comes soon, or some time."""
        if life and self.crew:
            self.advance(self.crew[0], life)
        if self.crew:
            self.end(self.crew[0])
        if found:
            self.look_for_orphans()
        self.carry_on(then)

    @precondition(lambda self: self.live is not None and not self.crew)
    @rule(then=ON)
    def watchdog(self, then: int) -> None:
        self.look_for_orphans()
        self.carry_on(then)

    @precondition(lambda self: self.crew or self.asleep)
    @rule(minutes=st.sampled_from([0, 1, 15, 30]), then=ON)
    def stop_a_process_or_wake_it_up(self, minutes: int, then: int) -> None:
        if self.crew and not self.asleep:
            self.asleep.append(self.crew.pop(0))
        elif self.asleep:
            self.crew.insert(0, self.asleep.pop(0))
        self.world.clock.sleep(minutes * MINUTE)
        self.carry_on(then)

    @precondition(lambda self: self.live is not None)
    @rule(verb=st.sampled_from(Verb), then=ON)
    def order(self, verb: Verb, then: int) -> None:
        live = self.live
        if live is not None:
            self.world.journal.give(live.rollout_id, verb, "ann", "", self.world.clock.now())
            if verb in {Verb.PROMOTE, Verb.SKIP}:
                self.blind.add(live.rollout_id)
        self.carry_on(then)

    @rule(rate=st.sampled_from([None, 0.0, 2.0, 50.0]), then=ON)
    def the_counters_fail_or_restart_or_the_traffic_changes(self, rate: float | None, then: int) -> None:
        if rate is not None:
            self.world.rate = rate
        elif self.outage:
            self.world.metrics.recover()
            self.outage = False
        else:
            self.world.metrics.fail("the provider is away")
            self.outage = True
        self.carry_on(then)

    @rule(door=st.sampled_from(["metrics", *sorted(UNREACHABLE)]), seconds=st.sampled_from([1, 20, 400]), then=ON)
    def a_door_does_not_answer_or_counts_anew(self, door: str, seconds: int, then: int) -> None:
        if door == "metrics":
            self.world.metrics.restart()
        else:
            self.away[door] = self.world.clock.now() + timedelta(seconds=seconds)
        self.carry_on(then)

    @precondition(lambda self: self.live is not None)
    @rule(share=st.sampled_from([None, 0, 33, 100]), then=ON)
    def somebody_edits_the_route(self, share: int | None, then: int) -> None:
        route, live = self.world.router.read(PRODUCT), self.live
        if route is None or live is None or live.former is None or live.former == live.candidate:
            return
        if not {live.former, live.candidate} <= {backend.version for backend in route.backends}:
            return
        self.edited = True
        weights = Weights({live.former: 100 - share, live.candidate: share}) if share is not None else None
        self.world.router.edit(PRODUCT, Routing(route.backends, weights) if weights else None)
        self.carry_on(then)

    # What must hold

    @invariant()
    def users_meet_only_versions_with_servers(self) -> None:
        route = self.world.router.read(PRODUCT)
        assert self.edited or route is not None, "the route is gone"
        for version in route.versions if route else ():
            assert version in self.world.target.versions(PRODUCT), f"v{version} has traffic without a server"

    @invariant()
    def phases_fit_steps(self) -> None:
        for state in self.world.journal.rollouts(PRODUCT):
            if state.phase in WAITED_FOR:
                assert isinstance(state.step, WAITED_FOR[state.phase])
            if state.phase is Phase.RUNNING:
                assert not isinstance(state.step, Wait)

    @invariant()
    def at_most_one_rollout_is_under_way(self) -> None:
        assert len([state for state in self.world.journal.rollouts(PRODUCT) if state.live]) <= 1

    @invariant()
    def no_step_saw_more_time_than_passed(self) -> None:
        now = self.world.clock.now()
        for state in self.world.journal.rollouts(PRODUCT):
            assert state.observed <= now - self.began.setdefault(self.key(state), now)

    @invariant()
    def at_rest_champion_and_traffic_agree(self) -> None:
        champion = self.world.registry.champion(PRODUCT)
        assert champion is not None
        if self.live is None and not self.edited:
            assert self.world.served_by == {champion.version: 100}

    def teardown(self) -> None:
        """Everything heals, time passes, people answer: then every rollout ends, and champion and traffic agree."""
        try:
            if self.world.journal.rollouts(PRODUCT):
                self.calm()
                if "rollout.left_behind" in history(self.world):
                    settle_before_release(PRODUCT, SECTION, self.world.doors)
                self.world.settled()
                for state in self.world.journal.rollouts(PRODUCT):
                    by_itself = state.rollout_id not in self.blind and state.strategy != Strategy.ROLLING
                    if state.phase is Phase.DONE and state.former is not None and by_itself:
                        report_only = state.strategy in {Strategy.SHADOW, Strategy.AB}
                        assert report_only or state.candidate not in self.harmful, "harm went through"
        finally:
            shutil.rmtree(self.folder)

    def calm(self) -> None:
        self.away.clear()
        self.world.metrics.recover()
        self.outage, self.world.rate = False, 50.0
        for _ in range(600):
            live = self.live
            if live is None:
                return
            if live.phase in {Phase.WAITING, Phase.PAUSED} and not self.world.journal.orders(
                live.rollout_id, live.orders_done
            ):
                verb = Verb.RESUME if live.phase is Phase.PAUSED else Verb.APPROVE
                self.world.journal.give(live.rollout_id, verb, "ann", "", self.world.clock.now())
            if self.crew:
                self.advance(self.crew[0])
            else:
                self.world.clock.sleep(MINUTE)
                self.look_for_orphans()
        raise AssertionError(f"no end in sight: {self.live}")

    # How it is done

    def carry_on(self, moves: int) -> None:
        """What happens without anybody's doing: rollouts are carried on, picked up, and followed by others."""
        for _ in range(moves):
            if self.crew:
                self.advance(self.crew[0])
            elif self.live is None:
                strategy = list(Strategy)[self.count % len(Strategy)]
                self.begin(self.wish("healthy", strategy, SECTION))
            else:
                self.world.clock.sleep(MINUTE / 6)
        if moves == MANY:
            self.look_for_orphans()

    @property
    def live(self) -> RolloutState | None:
        return next((state for state in self.world.journal.rollouts(PRODUCT) if state.live), None)

    def fresh_id(self) -> str:
        self.count += 1
        return f"rollout {self.count}"

    def hire(self, rollout_id: str) -> Process:
        self.count += 1
        one = process(self.world, someone(self.count, self.gone), self.away, self.changing)
        one.rollout_id = rollout_id
        self.crew.append(one)
        return one

    def wish(self, fitness: str, strategy: Strategy, section: RolloutSection) -> Wish:
        version = self.world.registry.add(PRODUCT, FACTS, self.folder).version
        if fitness == "harmful":
            self.harmful.add(version)
            self.world.errors[version] = 0.3
        elif fitness == "mute":
            self.harmful.add(version)
            self.world.mute.add(version)
        elif fitness == "slow":
            self.world.latency_ms[version] = 80.0
        elif fitness in set(Behaviour):
            self.world.target.script(PRODUCT, version, Behaviour(fitness))
        return Wish(self.fresh_id(), PRODUCT, version, section, strategy, Goal.PROMOTE)

    def wish_again(self, strategy: Strategy, section: RolloutSection) -> Wish:
        last = self.world.journal.rollouts(PRODUCT)[0]
        return Wish(self.fresh_id(), PRODUCT, last.candidate, section, strategy, Goal.PROMOTE, last.rollout_id)

    def wish_back(self, strategy: Strategy, section: RolloutSection) -> Wish:
        """To the champion before; to the present one, where there was none before: it may have become so meanwhile."""
        registry = self.world.registry
        back = registry.previous(PRODUCT) or registry.champion(PRODUCT)
        assert back is not None
        wish = Wish(self.fresh_id(), PRODUCT, back.version, section, strategy, Goal.REINSTATE)
        self.blind.add(wish.rollout_id)
        return wish

    def begin(self, wish: Wish, life: int = IMMORTAL) -> None:
        one = self.hire(wish.rollout_id)
        try:
            if not one.attempt(lambda: begin(wish, one.doors, stop=self.meanwhile(one)), life):
                self.end(one)
        except (Busy, RolloutFailed):
            self.end(one)

    def meanwhile(self, waiting: Process) -> object:
        """While one waits for its turn the others go on; after a while it waits no more."""
        patience = iter(range(100))

        def stop() -> str | None:
            others = [each for each in self.crew if each is not waiting]
            if others:
                self.advance(others[0])
            return None if next(patience, None) is not None else "waited long enough"

        return stop

    def look_for_orphans(self) -> None:
        for orphan in orphans(self.world.journal, self.world.clock.now()):
            self.take_over(orphan)

    def take_over(self, orphan: RolloutState) -> None:
        one = self.hire(orphan.rollout_id)
        if not one.attempt(lambda: take_over(orphan, one.doors)):
            self.end(one)

    def advance(self, one: Process, life: int = IMMORTAL) -> None:
        before = self.live
        now = self.world.clock.now()
        if before is not None:
            self.began.setdefault(self.key(before), now)
        asked = before is not None and bool(self.world.journal.orders(before.rollout_id, before.orders_done))
        if not one.advance(life):
            self.end(one)
        after = self.world.journal.rollout(PRODUCT, before.rollout_id) if before else None
        if after is not None and self.key(after) != self.key(before):
            self.began.setdefault(self.key(after), now)
        if before is not None and after is not None and self.outage and not asked and before.watched:
            assert after.done == before.done, "a step ended while nothing was known"

    def end(self, one: Process) -> None:
        self.gone.add(one.owner.pid)
        if one in self.crew:
            self.crew.remove(one)

    @staticmethod
    def key(state: RolloutState | None) -> tuple[object, ...]:
        return (state.rollout_id, state.done, len(state.steps)) if state else ()

    def changing(self, who: Someone, routing: Routing | None) -> None:
        """Somebody is about to change the traffic: only the one writer does, and only as planned."""
        assert self.world.journal.holder(PRODUCT, self.world.clock.now()) == who, "a second writer"
        champion = self.world.registry.champion(PRODUCT)
        assert champion is not None
        assert routing is not None
        shares = {version: share for version, share in routing.weights.percents.items() if share}
        live = self.live
        # The registry hears of the way back last.
        back = live.former if live is not None and live.phase is Phase.RESTORING else None
        planned = [{back or champion.version: 100}]
        if live is not None and live.phase is not Phase.RESTORING:
            shifts = [step for step in (live.split, live.step) if isinstance(step, Shift)]
            planned += [{v: share for v, share in shift.weights.percents.items() if share} for shift in shifts]
        assert shares in planned, f"{shares} is no part of the plan"
        self.edited = False


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(30, 40, id="some"),
        pytest.param(1000, 50, id="many", marks=[pytest.mark.crash, pytest.mark.timeout(3600)]),
    ],
)
def test_whatever_befalls_rollouts_users_are_answered_and_all_ends_well(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Sea,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Stage.generate, Stage.shrink] if examples > 100 else [Stage.generate],
        ),
    )
