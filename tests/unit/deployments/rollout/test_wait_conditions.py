"""What is told of a wait is true: who it is for, until when, and what ends it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deployments.analysis.verdict import Ruling, Verdict
from deployments.rollout.decide import Look, NotNowError, follow, obey
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import MOVES, Phase
from deployments.rollout.steps import Approve, Launch, Observe, Shift, Until
from deployments.rollout.wait_conditions import waiting
from deployments.spec import OnDeadline
from deployments.traffic import Weights
from tests.unit.deployments.rollout.a_rollout import EVERY_KIND, NOW, STEPS, rollout

LIVE = [phase for phase in Phase if MOVES[phase]]
ENDING = (Verb.APPROVE, Verb.RESUME, Verb.SKIP, Verb.PROMOTE, Verb.ABORT)


def order(verb: Verb) -> Order:
    return Order(1, "r1", verb, "ann", "", NOW)


def of(words: str) -> Verb:
    """The order that a command gives."""
    program, verb, product = words.split()
    assert (program, product) == ("seatrial", "flights")
    return Verb(verb)


@pytest.mark.parametrize("phase", LIVE)
@pytest.mark.parametrize("done", range(len(EVERY_KIND) + 1))
def test_every_command_that_is_offered_is_taken_and_ends_the_wait(phase: Phase, done: int) -> None:
    state = rollout(phase, done, steps=EVERY_KIND, reason="no traffic")
    found = waiting(state)
    assert found is not None
    assert found.what
    offered = [of(words) for words in found.commands]
    for verb in offered:
        after = obey(state, order(verb), (Shift(Weights.all_to(2)),), NOW)
        assert (after.phase, after.done, after.steps) != (state.phase, state.done, state.steps)
    for verb in set(ENDING) - set(offered) - {Verb.SKIP}:
        with pytest.raises(NotNowError):
            obey(state, order(verb), (), NOW)


def test_what_is_over_waits_for_nothing() -> None:
    assert [waiting(rollout(phase, 9)) for phase in (Phase.DONE, Phase.ROLLED_BACK)] == [None, None]


@pytest.mark.parametrize(
    ("on_deadline", "phase", "after", "told"),
    [
        (OnDeadline.ROLL_BACK, Phase.HOLDING, Phase.RESTORING, "in 24 h (01-02 00:00:00 UTC) it is rolled back"),
        (OnDeadline.ROLL_BACK, Phase.OBSERVING, Phase.RESTORING, "in 24 h (01-02 00:00:00 UTC) it is rolled back"),
        (OnDeadline.ASK_IF_FEW, Phase.HOLDING, Phase.RESTORING, "in 24 h (01-02 00:00:00 UTC) it is rolled back"),
        (
            OnDeadline.ASK_IF_FEW,
            Phase.OBSERVING,
            Phase.RESTORING,
            "in 24 h (01-02 00:00:00 UTC) it is rolled back, or paused if too few users came for any proof",
        ),
        (OnDeadline.PAUSE, Phase.HOLDING, Phase.PAUSED, "in 24 h (01-02 00:00:00 UTC) it is paused"),
        (OnDeadline.PROMOTE, Phase.OBSERVING, None, "in 24 h (01-02 00:00:00 UTC) it goes on to the next step"),
        (OnDeadline.PROMOTE, Phase.HOLDING, Phase.HOLDING, "nothing goes on by itself while nothing is known"),
    ],
)
def test_the_deadline_that_is_told_is_the_one_that_comes(
    on_deadline: OnDeadline, phase: Phase, after: Phase | None, told: str
) -> None:

    state = rollout(phase, 6, reason="no traffic")
    rules = state.section.analysis.model_copy(update={"on_deadline": on_deadline, "deadline": timedelta(days=1)})
    state = replace(state, section=state.section.model_copy(update={"analysis": rules}))
    found = waiting(state)
    assert found is not None
    assert found.ends(NOW) == told
    ruling = Ruling.HOLD if phase is Phase.HOLDING else Ruling.CONTINUE
    look = Look(Verdict(ruling, "no traffic", ()), timedelta(0), None, 0)
    for at, moved in (
        (found.until or NOW + 9 * rules.deadline, True),
        ((found.until or NOW) - timedelta(seconds=1), False),
    ):
        then = follow(state, look, at)
        if after is None and moved:
            assert then.done == state.done + 1
        else:
            assert then.phase is (after if moved else phase)


def test_a_hold_says_all_that_a_person_wants_to_know() -> None:
    held = rollout(Phase.OBSERVING, 6).with_phase(Phase.HOLDING, "no traffic", NOW + timedelta(minutes=2))
    again = held.with_phase(Phase.HOLDING, "no traffic", NOW + timedelta(minutes=9))
    found = waiting(again)
    assert found is not None
    assert found.since == NOW + timedelta(minutes=2), "every look writes the state anew"
    assert found.sentence(NOW + timedelta(minutes=10)) == (
        "waits for something to judge v2 by (no traffic), for 8 min now; in 23.8 h (01-02 00:00:00 UTC) it is rolled "
        "back; `seatrial skip flights` or `seatrial abort flights` ends that"
    )
    assert found.document()["commands"] == ["seatrial skip flights", "seatrial abort flights"]


@pytest.mark.parametrize(
    ("step", "phase", "what"),
    [
        (Observe(Until.TIME, timedelta(minutes=5)), Phase.OBSERVING, "5 min more of healthy time"),
        (Observe(Until.PROOF, timedelta(0)), Phase.OBSERVING, "proof that v2 is not worse"),
        (Observe(Until.BOUND, timedelta(0), next=10.0), Phase.OBSERVING, "v2 to be known to do no harm at 10 %"),
        (Observe(Until.SAMPLE, timedelta(0), sample=20_000), Phase.OBSERVING, "20,000 to be compared"),
        (Approve("give all traffic to v2?"), Phase.WAITING, "a person's answer: give all traffic to v2?"),
        (Launch(2, 3), Phase.RUNNING, "3 servers of v2 to get ready"),
        (Launch(2, 3), Phase.RESTORING, "v1 to have all traffic again"),
        (Launch(2, 3), Phase.PAUSED, "a person to resume it (lunch)"),
    ],
)
def test_each_wait_has_its_words(step: object, phase: Phase, what: str) -> None:
    found = waiting(rollout(phase, 0, steps=(step, *STEPS), reason="lunch"))
    assert found is not None
    assert found.what == what


def test_servers_are_waited_for_as_long_as_the_spec_says() -> None:
    state = rollout(Phase.RUNNING, 0)
    found = waiting(state)
    assert found is not None
    assert found.until == NOW + state.section.ready_timeout
    assert found.orders == (Verb.ABORT,)
