"""What docs/rollouts.md and docs/statistics.md claim of plans, looks and orders, held against the engine in memory."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from deployments.analysis.changepoint_mixture import _APART
from deployments.analysis.response_shortfall import ALPHA
from deployments.analysis.user_metrics import LONG, MOST_USERS, SHORT
from deployments.durations import in_words
from deployments.errors import Busy
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve, Launch, Observe, Shift, Step, Until, Verify
from deployments.spec import AnalysisSection, BlueGreenSection, CanarySection, Pace, RolloutSection, Strategy
from deployments.strategies.plan import Change, Goal, plan
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import begin
from tasks.rollout_engine.wait_reminders import AT_ONCE, Reminder
from tests.docs.claims import claim
from tests.unit.flows.conftest import Seatrial, until
from tests.unit.tasks.rollout_engine.test_second import another_process
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World, history

NEW = Change(Goal.PROMOTE, candidate=3, champion=2, running=(2,))
FIRST = Change(Goal.PROMOTE, candidate=1, champion=None, running=())


def shares(steps: tuple[Step, ...]) -> list[float]:
    return [step.weights.percents.get(3, 0) for step in steps if isinstance(step, Shift)]


def section(text: str) -> RolloutSection:
    """As a spec says it."""
    return RolloutSection.model_validate_json(json.dumps(yaml.safe_load(text)["rollout"]))


@claim("docs/rollouts.md", "it gets all traffic at once, whatever the strategy.")
@pytest.mark.parametrize("strategy", Strategy)
def test_a_first_version_gets_all_traffic_at_once(strategy: Strategy) -> None:
    steps = plan(strategy, FIRST, RolloutSection())
    assert [step.weights.percents for step in steps if isinstance(step, Shift)] == [{1: 100}]


@claim(
    "docs/rollouts.md",
    "servers of the candidate are launched and must answer held-out rows as training did, before anybody meets it: as "
    "values, and as their source writes them, in JSON, as CSV and by V2.",
)
@pytest.mark.parametrize("strategy", Strategy)
def test_a_candidate_is_verified_before_anybody_meets_it(strategy: Strategy) -> None:
    steps = plan(strategy, NEW, RolloutSection())
    assert (type(steps[0]), type(steps[1])) == (Launch, Verify)


@claim(
    "docs/rollouts.md",
    "A share of the traffic for each server that takes over: 25, 50, 75, 100 %.",
    "With one server, all traffic moves at once.",
)
def test_rolling_moves_a_share_for_each_server() -> None:
    steps = plan(Strategy.ROLLING, NEW, section("rollout: {strategy: rolling, replicas: 4}"))
    assert shares(steps) == [25, 50, 75, 100]
    assert not [step for step in steps if isinstance(step, Observe)]
    assert shares(plan(Strategy.ROLLING, NEW, RolloutSection())) == [100]


@claim(
    "docs/rollouts.md",
    "For five minutes the candidate answers only at its preview address",
    "Then a person is asked, and all traffic moves at once.",
)
def test_blue_green_shows_asks_and_switches() -> None:
    asked = section("rollout: {strategy: blue_green, bake: 10m, blue_green: {preview: 5m, approve: true}}")
    steps = plan(Strategy.BLUE_GREEN, NEW, asked)
    assert shares(steps) == [0, 100]
    shown = next(step for step in steps if isinstance(step, Observe))
    assert shown.time == timedelta(minutes=5)
    assert next(place for place, step in enumerate(steps) if isinstance(step, Approve)) > steps.index(shown)


@claim(
    "docs/rollouts.md",
    "With `pace: clock` each weight is kept for `wait` of observed healthy time; with `pace: evidence` it rises as "
    "soon as the "
    "proved bound on extra errors is acceptable at the next weight. In both cases the last step ends only with proof "
    "that the "
    "candidate is not worse.",
)
@pytest.mark.parametrize(("pace", "before"), [("clock", Until.TIME), ("evidence", Until.BOUND)])
def test_a_canary_rises_by_the_clock_or_by_evidence_and_ends_with_proof(pace: str, before: Until) -> None:
    canary = CanarySection(pace=Pace(pace), wait=timedelta(minutes=10))
    steps = plan(Strategy.CANARY, NEW, RolloutSection(canary=canary, bake=timedelta(0)))
    watched = [step for step in steps if isinstance(step, Observe)]
    assert [step.until for step in watched] == [before] * 3 + [Until.PROOF]
    assert shares(steps) == sorted(shares(steps))


@claim(
    "docs/rollouts.md", "With `then: report` the champion serves on; with `then: promote` a winner gets all traffic."
)
def test_an_ab_test_reports_or_promotes() -> None:
    for then, last in (("report", 0), ("promote", 100)):
        told = section(f"rollout: {{strategy: ab, ab: {{share: 50, then: {then}}}}}")
        assert shares(plan(Strategy.AB, NEW, told))[-1] == last


@claim("docs/rollouts.md", "A share of the requests is mirrored to the candidate. Nobody gets its answers")
def test_a_shadow_gets_copies_and_no_user() -> None:
    steps = plan(Strategy.SHADOW, NEW, section("rollout: {strategy: shadow, shadow: {share: 20, sample: 5000}}"))
    assert set(shares(steps)) == {0}
    mirrors = [step.mirror for step in steps if isinstance(step, Shift) and step.mirror]
    assert [(mirror.version, mirror.percent) for mirror in mirrors] == [(3, 20)]


@claim(
    "docs/rollouts.md",
    "| roll back | harm is proved, or an absolute limit is broken | the champion gets all traffic back |",
)
def test_proved_harm_gives_the_champion_everything_back(world: World) -> None:
    world.errors[2] = 0.4
    assert world.run(world.wish(2, Strategy.CANARY)).phase is Phase.ROLLED_BACK
    assert world.served_by == {1: 100}


@claim(
    "docs/rollouts.md",
    "| hold | nothing that can be trusted: no traffic, counters out of reach, a split that is not the configured one "
    "| weights and clock stand still, with the reason |",
)
def test_without_traffic_weights_and_clock_stand_still(world: World) -> None:
    world.rate = 0.0
    state = until(world, Phase.HOLDING)
    carrier = Carrier(world.doors)
    later = carrier.advance(carrier.advance(state))
    assert (later.phase, later.observed) == (Phase.HOLDING, state.observed)
    assert "no traffic" in later.reason
    assert world.served_by == {1: 90, 2: 10}


def told(world: World, state: RolloutState, *verbs: Verb) -> RolloutState:
    """The rollout once these orders were dealt with."""
    carrier = Carrier(world.doors)
    for verb in verbs:
        world.journal.give(state.rollout_id, verb, "ann", "", world.clock.now())
        number = state.orders_done
        while state.orders_done == number:
            state = carrier.advance(state)
    return state


def ended(world: World, state: RolloutState) -> RolloutState:
    carrier = Carrier(world.doors)
    while state.live:
        state = carrier.advance(state)
    return state


@claim(
    "docs/rollouts.md",
    "| `seatrial promote PRODUCT` | from the first split on, until the candidate has all traffic "
    "| all traffic now; watched for the bake time, then champion |",
)
def test_promote_gives_all_traffic_and_the_bake_is_kept(world: World) -> None:
    state = told(world, until(world, Phase.OBSERVING), Verb.PROMOTE)
    while world.served_by != {2: 100}:
        state = Carrier(world.doors).advance(state)
    began = world.clock.now()
    assert (ended(world, state).phase, world.served_by) == (Phase.DONE, {2: 100})
    assert world.clock.now() - began >= SECTION.bake


@claim("docs/rollouts.md", "| `seatrial abort PRODUCT` | any time | the champion gets everything back |")
def test_abort_gives_the_champion_everything_back(world: World) -> None:
    state = ended(world, told(world, until(world, Phase.OBSERVING), Verb.ABORT))
    assert (state.phase, world.served_by) == (Phase.ROLLED_BACK, {1: 100})


@claim(
    "docs/rollouts.md",
    "| `seatrial pause PRODUCT` | any time | weights stand; the candidate is still judged, and harm rolls back |",
)
def test_a_paused_candidate_is_still_judged(world: World) -> None:
    state, carrier = told(world, until(world, Phase.OBSERVING), Verb.PAUSE), Carrier(world.doors)
    for _ in range(20):
        state = carrier.advance(state)
    assert (state.phase, world.served_by) == (Phase.PAUSED, {1: 90, 2: 10})
    world.errors[2] = 0.5
    assert (ended(world, state).phase, world.served_by) == (Phase.ROLLED_BACK, {1: 100})


@claim(
    "docs/rollouts.md",
    "| `seatrial skip PRODUCT` | while something is observed or asked, and not paused | the next step |",
    "| `seatrial resume PRODUCT` | after a pause | the same step goes on; its deadline counts anew |",
)
def test_skip_and_resume_go_to_the_next_step_and_to_the_same(world: World) -> None:
    state = until(world, Phase.OBSERVING)
    again = told(world, state, Verb.PAUSE, Verb.RESUME)
    assert (again.phase, again.step, again.entered_at > state.entered_at) == (Phase.OBSERVING, state.step, True)
    assert told(world, again, Verb.SKIP).done > again.done


@claim("docs/rollouts.md", "| `seatrial approve PRODUCT` | while a person is asked, and not paused | the next step |")
def test_approve_answers_the_question_and_nothing_else(
    world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = SECTION.model_copy(update={"blue_green": BlueGreenSection(approve=True)})
    state, carrier = begin(world.wish(2, Strategy.BLUE_GREEN, section=asked), world.doors), Carrier(world.doors)
    while state.phase is not Phase.WAITING:
        state = carrier.advance(state)
    assert seatrial("resume", PRODUCT) == 2
    assert "the rollout is not paused" in capsys.readouterr().err
    assert (ended(world, told(world, state, Verb.APPROVE)).phase, world.served_by) == (Phase.DONE, {2: 100})


@claim("docs/rollouts.md", "| order | when | what happens |")
def test_every_order_stands_in_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rollouts.md").read_text()
    assert all(f"| `seatrial {verb.value} PRODUCT` |" in page for verb in Verb)


@claim(
    "docs/rollouts.md",
    "What a rollout waits for, since when, until when, what happens then and which of these orders end it is told at "
    "once, after 1, 2, 5 and 10 minutes, then every 15",
)
def test_a_wait_is_told_at_once_and_then_more_seldom() -> None:
    reminder = Reminder()
    minutes = [second / 60 for second in range(3600) if reminder.due("the same", float(second), AT_ONCE)]
    assert minutes[:7] == [0, 1, 2, 5, 10, 25, 40]


@claim(
    "docs/rollouts.md", "| `reject` | refused with exit code 1, before anything is trained | refused with exit code 1 |"
)
def test_a_second_rollout_is_refused_with_1(world: World) -> None:
    another_process(world, world.wish(2, Strategy.CANARY))
    with pytest.raises(Busy) as refused:
        begin(world.wish(3, Strategy.CANARY), world.doors)
    assert refused.value.exit_code == 1
    assert SECTION.second.value == "reject"


@claim("docs/rollouts.md", "each step is written down before it is done, and its outcome after it was read back.")
def test_a_step_is_written_down_before_and_after(world: World) -> None:
    world.run(world.wish(2))
    kinds = [kind for kind in history(world) if kind.startswith("step.")]
    assert kinds[::2] == ["step.intended"] * (len(kinds) // 2)
    assert kinds[1::2] == ["step.done"] * (len(kinds) // 2)


@claim(
    "docs/statistics.md",
    "every test of harm and every limit begins anew with each sixth block",
    "The *long* one lasts as long as the split stands (few users add up). *Short* ones last 30 blocks, five minutes "
    "by default",
    "A user is *closed* after 20 requests (in short stretches 3), a minute after his first",
    "50,000 users a stretch; further ones are not counted in it, in either version.",
)
def test_stretches_are_as_long_as_the_page_says() -> None:
    assert _APART == 6
    assert (SHORT.blocks, LONG.blocks) == (30, None)
    assert 30 * AnalysisSection().interval == timedelta(minutes=5)
    assert (LONG.requests, SHORT.requests, LONG.after) == (20, 3, timedelta(minutes=1))
    assert MOST_USERS == 50_000


@claim(
    "docs/rollouts.md",
    "a chance of 1 in 1,000 that a rollout of a candidate that answers all is ever rolled back for it",
)
def test_a_shortfall_is_tested_at_one_in_a_thousand() -> None:
    assert ALPHA == 1 / 1000


@claim("docs/statistics.md", "(`caution`) of the evidence that proves harm, or beyond, no observation ends by itself")
@claim(
    "docs/statistics.md",
    "A candidate that is no worse ever waits with a chance of at most `alpha`/`caution` (10 % by default, by Ville's "
    "inequality).",
)
@claim("docs/statistics.md", "`chosen_keys` (15 % of the traffic)")
def test_defaults_of_the_analysis_are_those_of_the_page() -> None:
    usual = AnalysisSection()
    assert usual.caution == 0.1
    assert usual.alpha / usual.caution == pytest.approx(0.1)
    assert usual.chosen_keys == 0.15
    assert in_words(usual.interval) == "10 s"
