"""What comes next: every phase, every ruling, every order."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as some

from deployments.analysis.verdict import Nearly, Ruling, Verdict
from deployments.rollout.decide import (
    Finish,
    Look,
    Nothing,
    NotNowError,
    Perform,
    Restore,
    Watch,
    decide,
    follow,
    obey,
)
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve, Observe, Promote, Shift, Step, Until, Wait
from deployments.spec import AnalysisSection, OnDeadline, RolloutSection
from deployments.traffic import Weights
from tests.unit.deployments.rollout.a_rollout import NOW, STEPS, rollout

FINALE: tuple[Step, ...] = (Shift(Weights.all_to(2)), Promote(2))
MINUTE = timedelta(minutes=1)


def look(ruling: Ruling, healthy: timedelta = MINUTE, bound: float | None = None, compared: int = 0) -> Look:
    return Look(Verdict(ruling, f"it says {ruling}"), healthy, bound, compared)


def order(verb: Verb) -> Order:
    return Order(1, "r1", verb, "ann", "", NOW)


@pytest.mark.parametrize(("phase", "done"), list(product(Phase, range(len(STEPS) + 1))))
def test_decide_is_total(phase: Phase, done: int) -> None:
    action = decide(rollout(phase, done))
    match phase:
        case Phase.RUNNING if done == len(STEPS):
            assert action == Finish()
        case Phase.RUNNING:
            step = STEPS[done]
            assert action == (Watch() if isinstance(step, Wait) else Perform(step))
        case Phase.RESTORING:
            assert action == Restore()
        case Phase.DONE | Phase.ROLLED_BACK:
            assert action == Nothing()
        case _:
            assert action == Watch()


@pytest.mark.parametrize("phase", [Phase.OBSERVING, Phase.HOLDING, Phase.WAITING, Phase.PAUSED])
def test_harm_rolls_back_wherever_the_rollout_waits(phase: Phase) -> None:
    after = follow(rollout(phase, 3), look(Ruling.ROLL_BACK), NOW)
    assert (after.phase, after.reason) == (Phase.RESTORING, "it says roll back")


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.PAUSED])
@pytest.mark.parametrize("ruling", [Ruling.PROMOTE, Ruling.CONTINUE, Ruling.HOLD])
def test_good_news_never_answers_for_a_person(phase: Phase, ruling: Ruling) -> None:
    waiting = rollout(phase, 4)
    assert follow(waiting, look(ruling), NOW + timedelta(days=9)) == waiting


def test_a_hold_freezes_the_clock_and_good_data_starts_it_again() -> None:
    state = follow(rollout(Phase.OBSERVING, 3), look(Ruling.CONTINUE, MINUTE / 2), NOW)
    held = follow(state, look(Ruling.HOLD), NOW)
    assert (held.phase, held.observed, held.reason) == (Phase.HOLDING, MINUTE / 2, "it says hold")
    again = follow(held, look(Ruling.CONTINUE, MINUTE / 4), NOW)
    assert (again.phase, again.observed, again.done) == (Phase.OBSERVING, MINUTE * 3 / 4, 3)
    over = follow(again, look(Ruling.CONTINUE, MINUTE / 4), NOW)
    assert (over.phase, over.observed, over.done) == (Phase.WAITING, timedelta(0), 4)


def observing(step: Observe, **changes: object) -> RolloutState:
    return rollout(Phase.OBSERVING, 0, steps=(step, Promote(2)), **changes)


def test_a_proof_is_waited_for_however_long_it_takes() -> None:
    state = observing(Observe(Until.PROOF, MINUTE))
    undecided = follow(state, look(Ruling.CONTINUE, 10 * MINUTE), NOW)
    assert undecided.done == 0
    assert follow(state, look(Ruling.PROMOTE, MINUTE / 2), NOW).done == 0, "a proof does not shorten the time"
    assert follow(undecided, look(Ruling.PROMOTE), NOW).done == 1


@pytest.mark.parametrize(("bound", "done"), [(None, 0), (0.05, 0), (0.02, 1), (-0.01, 1)])
def test_a_weight_rises_once_the_bound_on_harm_is_acceptable_there(bound: float | None, done: int) -> None:
    state = observing(Observe(Until.BOUND, timedelta(0), next=10.0))  # acceptable: 0.002 of all requests
    assert follow(state, look(Ruling.CONTINUE, bound=bound), NOW).done == done
    assert follow(state, look(Ruling.PROMOTE, bound=bound), NOW).done == 1


def test_a_sample_is_complete_when_both_versions_have_it() -> None:
    state = observing(Observe(Until.SAMPLE, timedelta(0), sample=100))
    assert follow(state, look(Ruling.PROMOTE, compared=99), NOW).done == 0
    assert follow(state, look(Ruling.CONTINUE, compared=100), NOW).done == 1


@pytest.mark.parametrize(
    ("ruling", "policy", "phase", "done"),
    [
        (Ruling.CONTINUE, OnDeadline.ROLL_BACK, Phase.RESTORING, 0),
        (Ruling.CONTINUE, OnDeadline.PAUSE, Phase.PAUSED, 0),
        (Ruling.CONTINUE, OnDeadline.PROMOTE, Phase.RUNNING, 1),
        (Ruling.HOLD, OnDeadline.ROLL_BACK, Phase.RESTORING, 0),
        (Ruling.HOLD, OnDeadline.PAUSE, Phase.PAUSED, 0),
    ],
)
def test_the_deadline_is_answered_as_the_spec_says(ruling: Ruling, policy: OnDeadline, phase: Phase, done: int) -> None:
    section = RolloutSection(analysis=AnalysisSection(deadline=timedelta(hours=1), on_deadline=policy))
    state = observing(Observe(Until.PROOF, MINUTE), section=section)
    assert follow(state, look(ruling), NOW + timedelta(minutes=59)).done == 0
    after = follow(state, look(ruling), NOW + timedelta(hours=1))
    assert (after.phase, after.done) == (phase, done)
    assert "no decision within 1h" in after.reason


@pytest.mark.parametrize(
    ("policy", "verdict", "phase"),
    [
        (OnDeadline.ASK_IF_FEW, Verdict(Ruling.CONTINUE, "not yet proved", few=True), Phase.PAUSED),
        (OnDeadline.ASK_IF_FEW, Verdict(Ruling.CONTINUE, "not yet proved"), Phase.RESTORING),
        (OnDeadline.ASK_IF_FEW, Verdict(Ruling.CONTINUE, "near", nearly=Nearly.COMPARISON, few=True), Phase.RESTORING),
        (OnDeadline.ASK_IF_FEW, Verdict(Ruling.HOLD, "no traffic", few=True), Phase.RESTORING),
        (OnDeadline.ROLL_BACK, Verdict(Ruling.CONTINUE, "not yet proved", few=True), Phase.RESTORING),
    ],
)
def test_whom_too_few_users_can_prove_good_a_person_decides_on(
    policy: OnDeadline, verdict: Verdict, phase: Phase
) -> None:
    section = RolloutSection(analysis=AnalysisSection(deadline=timedelta(hours=1), on_deadline=policy))
    state = observing(Observe(Until.PROOF, MINUTE), section=section)
    after = follow(state, Look(verdict, timedelta(0), None, 0), NOW + timedelta(hours=1))
    assert after.phase is phase
    if phase is Phase.PAUSED:
        assert (
            after.reason
            == "no decision within 1h at this step (not yet proved): too few users for a proof, decide by hand"
        )
        harmed = follow(after, look(Ruling.ROLL_BACK), NOW + timedelta(hours=2))
        assert harmed.phase is Phase.RESTORING, "whoever is asked need not watch"


def test_no_deadline_promotes_while_nothing_is_known() -> None:
    section = RolloutSection(analysis=AnalysisSection(deadline=MINUTE, on_deadline=OnDeadline.PROMOTE))
    state = observing(Observe(Until.PROOF, MINUTE), section=section)
    held = follow(state, look(Ruling.HOLD), NOW + timedelta(hours=1))
    assert (held.phase, held.done) == (Phase.HOLDING, 0)
    assert follow(held, look(Ruling.CONTINUE), NOW + timedelta(hours=1)).done == 1
    silent = replace(look(Ruling.CONTINUE), silent=True)
    assert follow(state, silent, NOW + timedelta(hours=1)).done == 0, "the candidate answers nobody now"


@pytest.mark.parametrize(("phase", "done"), list(product(list(Phase), range(len(STEPS)))))
def test_abort_reaches_the_way_back_from_everywhere_it_is_not_over(phase: Phase, done: int) -> None:
    if phase in {Phase.DONE, Phase.ROLLED_BACK, Phase.RESTORING}:
        with pytest.raises(NotNowError, match="already"):
            obey(rollout(phase, done), order(Verb.ABORT), FINALE, NOW)
    else:
        assert obey(rollout(phase, done), order(Verb.ABORT), FINALE, NOW).phase is Phase.RESTORING


def test_promote_leaves_out_what_is_still_to_be_seen() -> None:
    after = obey(rollout(Phase.OBSERVING, 3), order(Verb.PROMOTE), FINALE, NOW)
    assert (after.steps, after.phase, after.step) == (STEPS[:3] + FINALE, Phase.RUNNING, FINALE[0])
    with pytest.raises(NotNowError, match="no traffic yet"):
        obey(rollout(Phase.RUNNING, 1), order(Verb.PROMOTE), FINALE, NOW)


def test_skip_ends_a_wait_and_nothing_else() -> None:
    assert obey(rollout(Phase.HOLDING, 3), order(Verb.SKIP), FINALE, NOW).phase is Phase.WAITING
    assert obey(rollout(Phase.WAITING, 4), order(Verb.SKIP), FINALE, NOW).phase is Phase.RUNNING
    with pytest.raises(NotNowError, match="about to verify v2"):
        obey(rollout(Phase.RUNNING, 1), order(Verb.SKIP), FINALE, NOW)


@pytest.mark.parametrize(("verb", "done"), [(Verb.SKIP, 3), (Verb.APPROVE, 4)])
def test_a_pause_ends_by_resume_and_by_nothing_else(verb: Verb, done: int) -> None:
    with pytest.raises(NotNowError, match="paused: resume it first"):
        obey(rollout(Phase.PAUSED, done), order(verb), FINALE, NOW)


def test_approve_answers_a_question_and_nothing_else() -> None:
    assert obey(rollout(Phase.WAITING, 4), order(Verb.APPROVE), FINALE, NOW).done == 5
    with pytest.raises(NotNowError, match="nothing is asked"):
        obey(rollout(Phase.OBSERVING, 3), order(Verb.APPROVE), FINALE, NOW)


@pytest.mark.parametrize(("done", "phase"), [(1, Phase.RUNNING), (3, Phase.OBSERVING), (4, Phase.WAITING)])
def test_resume_goes_back_to_where_the_pause_began(done: int, phase: Phase) -> None:
    seen = replace(rollout(phase, done), observed=MINUTE / 3)
    paused = obey(seen, order(Verb.PAUSE), FINALE, NOW)
    assert paused.phase is Phase.PAUSED
    resumed = obey(paused, order(Verb.RESUME), FINALE, NOW)
    assert (resumed.phase, resumed.done, resumed.observed) == (phase, done, MINUTE / 3)
    with pytest.raises(NotNowError, match="not paused"):
        obey(resumed, order(Verb.RESUME), FINALE, NOW)


LOOKS = some.builds(
    look, some.sampled_from(Ruling), some.just(MINUTE / 3), some.sampled_from([None, 0.0, 1.0]), some.integers(0, 200)
)
HAPPENINGS = some.lists(some.one_of(LOOKS, some.builds(order, some.sampled_from(Verb)), some.just("act")), max_size=60)


def happens(happening: Look | Order | str, state: RolloutState, now: datetime) -> RolloutState:
    match happening:
        case Look():
            return follow(state, happening, now)
        case Order():
            try:
                return obey(state, happening, FINALE, now)
            except NotNowError:
                return state
        case _:
            return acted(state, now)


def acted(state: RolloutState, now: datetime) -> RolloutState:
    match decide(state):
        case Perform():
            return state.with_step_done(now)
        case Finish():
            return state.with_phase(Phase.DONE, "", now)
        case Restore():
            return state.with_phase(Phase.ROLLED_BACK, "", now)
        case _:
            return state


@given(HAPPENINGS)
def test_whatever_happens_the_phase_fits_the_step_and_nothing_is_undone(happenings: list[Look | Order | str]) -> None:
    state, now = rollout(), NOW
    for happening in happenings:
        before, now = state, now + MINUTE
        state = happens(happening, state, now)
        assert state.done >= before.done
        assert before.live or state == before
        match state.phase:
            case Phase.OBSERVING | Phase.HOLDING:
                assert isinstance(state.step, Observe)
            case Phase.WAITING:
                assert isinstance(state.step, Approve)
            case Phase.RUNNING:
                assert not isinstance(state.step, Wait)


def doubtful(nearly: Nearly = Nearly.COMPARISON, ruling: Ruling = Ruling.CONTINUE) -> Look:
    return Look(Verdict(ruling, "harm is nearly proved", (), nearly), 10 * MINUTE, -0.01, 10_000)


@pytest.mark.parametrize("until", Until)
@pytest.mark.parametrize("nearly", Nearly)
def test_nothing_ends_an_observation_while_harm_is_nearly_proved(until: Until, nearly: Nearly) -> None:
    step = Observe(until, MINUTE, next=10.0, sample=100)
    state = rollout(Phase.OBSERVING, 0, steps=(step, Shift(Weights.all_to(2)), Promote(2)))
    waits = follow(state, doubtful(nearly), NOW)
    assert (waits.done, waits.phase, waits.reason) == (0, Phase.OBSERVING, "harm is nearly proved")
    assert follow(waits, look(Ruling.PROMOTE, bound=-0.01, compared=10_000), NOW).done == 1, (
        "it falls: the wait is over"
    )
    assert follow(waits, look(Ruling.ROLL_BACK), NOW).phase is Phase.RESTORING


@pytest.mark.parametrize(("nearly", "done"), [(Nearly.COMPARISON, 2), (Nearly.LIMIT, 1)])
def test_a_bake_waits_only_for_what_it_can_settle(nearly: Nearly, done: int) -> None:
    steps = (Shift(Weights.all_to(2)), Observe(Until.TIME, MINUTE), Promote(2))
    assert follow(rollout(Phase.OBSERVING, 1, steps=steps), doubtful(nearly), NOW).done == done


@pytest.mark.parametrize(
    ("policy", "phase", "done"),
    [
        (OnDeadline.ROLL_BACK, Phase.RESTORING, 0),
        (OnDeadline.PAUSE, Phase.PAUSED, 0),
        (OnDeadline.PROMOTE, Phase.RUNNING, 1),
    ],
)
def test_the_deadline_ends_the_wait_for_a_proof_of_harm(policy: OnDeadline, phase: Phase, done: int) -> None:
    section = RolloutSection(analysis=AnalysisSection(deadline=timedelta(hours=1), on_deadline=policy))
    state = observing(Observe(Until.TIME, MINUTE), section=section)
    after = follow(state, doubtful(), NOW + timedelta(hours=1))
    assert (after.phase, after.done) == (phase, done)
    assert "harm is nearly proved" in after.reason


@pytest.mark.parametrize(("verb", "done"), [(Verb.PROMOTE, 3), (Verb.SKIP, 4), (Verb.APPROVE, 5)])
def test_people_go_before_doubts_and_are_told_of_them(verb: Verb, done: int) -> None:
    state = rollout(Phase.WAITING, 4) if verb is Verb.APPROVE else rollout(Phase.OBSERVING, 3)
    after = obey(state, order(verb), FINALE, NOW, doubtful().verdict)
    assert after.done == done
    assert after.reason == f"{verb} by ann, although harm is nearly proved"
    assert obey(state, order(verb), FINALE, NOW, look(Ruling.CONTINUE).verdict).reason == f"{verb} by ann"
    assert obey(state, order(Verb.PAUSE), FINALE, NOW, doubtful().verdict).reason == "pause by ann"
