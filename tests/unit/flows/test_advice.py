"""Advice in messages is followed here, and helps."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deployments import wiring
from deployments.errors import Busy, NotFound
from deployments.process_identity import this_process
from deployments.rollout.state import Phase
from deployments.rollout.steps import Launch
from deployments.rollout.wait_conditions import waiting
from deployments.spec import Strategy
from deployments.targets.in_memory import Behaviour
from flows.entrypoints.cli.interruption_hint import after_interruption, after_kill
from flows.entrypoints.cli.status import _first_step
from tasks.operator_commands import version_to_retry
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.lease import check_place
from tasks.rollout_engine.takeover import begin
from tasks.rollout_steps import former_version
from tasks.run_context import Run
from tasks.spec_file import load_product
from tests.advice import followed
from tests.unit.flows.conftest import Seatrial, carried_meanwhile, project, until
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, World

Captured = pytest.CaptureFixture[str]
COMMAND = re.compile(r"`seatrial ([^`]+)`")


def advised(text: str) -> list[list[str]]:
    """The commands that a text names, word by word."""
    found = [command.split() for command in COMMAND.findall(text)]
    assert found, f"nothing is advised: {text}"
    return found


def test_a_product_that_nobody_knows_is_told_and_those_that_are_known_are_shown(
    world: World, seatrial: Seatrial, capsys: Captured
) -> None:
    assert seatrial("promote", "nope") == 2
    said = capsys.readouterr().err
    assert followed("was never rolled out here: `seatrial status` names the products that were") in said
    assert "explain" not in said
    [again] = advised(said)
    assert again == ["status"]


@pytest.mark.parametrize("command", ["watch", "abort", "pause", "resume", "skip", "approve", "promote"])
def test_without_a_rollout_the_last_one_is_shown(
    world: World, seatrial: Seatrial, capsys: Captured, command: str
) -> None:
    assert seatrial(command, PRODUCT) == 2
    said = capsys.readouterr().err
    assert followed("is under way: `seatrial explain ") in said or command == "watch"
    [again] = advised(said)
    assert seatrial(*again) == 0
    assert "v1 by rolling" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["explain", "replay", "history"])
def test_an_unknown_name_leads_to_the_known_ones(
    world: World, seatrial: Seatrial, capsys: Captured, command: str
) -> None:
    assert seatrial(command, "bycicles") == 2
    said = capsys.readouterr().err
    here = followed("was rolled out here: `seatrial status` shows what was")
    assert here in said or followed("check the name with `seatrial status`", "flows/reports/history.py") in said
    [again] = advised(said)
    seatrial(*again)
    assert PRODUCT in capsys.readouterr().out


@pytest.mark.parametrize(
    ("phase", "strategy", "silent"),
    [
        (Phase.OBSERVING, Strategy.CANARY, False),
        (Phase.HOLDING, Strategy.CANARY, True),
        (Phase.HOLDING, Strategy.SHADOW, True),
        (Phase.OBSERVING, Strategy.BLUE_GREEN, False),
    ],
)
def test_every_command_that_a_wait_names_ends_it(
    world: World, seatrial: Seatrial, phase: Phase, strategy: Strategy, silent: bool
) -> None:
    world.rate = 0.0 if silent else world.rate
    state = until(world, phase, strategy)
    found = waiting(state)
    assert found is not None
    carried_meanwhile(world, state)
    assert seatrial(*found.commands[0].split()[1:]) == 0
    after = world.journal.rollout(PRODUCT, state.rollout_id)
    assert (after.done, after.phase, after.steps) != (state.done, state.phase, state.steps)


@pytest.mark.parametrize("verb", ["promote", "abort"])
def test_the_harder_ways_out_of_a_hold_work_too(world: World, seatrial: Seatrial, verb: str) -> None:
    world.rate = 0.0
    state = until(world, Phase.HOLDING)
    found = waiting(state)
    assert found is not None
    assert f"seatrial {verb} {PRODUCT}" in found.commands
    carried_meanwhile(world, state)
    assert seatrial(verb, PRODUCT) == 0
    assert world.served_by == ({2: 100} if verb == "promote" else {1: 100})


def test_whoever_is_told_to_resume_first_may_skip_then(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    state = until(world, Phase.OBSERVING)
    carried_meanwhile(world, state)
    assert seatrial("pause", PRODUCT) == 0
    assert seatrial("skip", PRODUCT) == 2
    assert "is paused: resume it first" in capsys.readouterr().err
    assert [seatrial("resume", PRODUCT), seatrial("skip", PRODUCT)] == [0, 0]


def test_whoever_is_told_to_wait_for_the_launch_may_promote_then(
    world: World, seatrial: Seatrial, capsys: Captured
) -> None:
    state, carrier = begin(world.wish(2, Strategy.CANARY), world.doors), Carrier(world.doors)
    assert isinstance(state.step, Launch)
    assert seatrial("promote", PRODUCT) == 2
    assert followed("wait until it is launched and verified") in capsys.readouterr().err
    while state.phase is not Phase.OBSERVING:
        state = carrier.advance(state)
    carried_meanwhile(world, state)
    assert seatrial("promote", PRODUCT) == 0


def test_whoever_has_all_traffic_already_may_skip_what_is_observed(
    world: World, seatrial: Seatrial, capsys: Captured
) -> None:
    state = until(world, Phase.OBSERVING)
    carried_meanwhile(world, state)
    assert seatrial("promote", PRODUCT) == 0
    assert seatrial("promote", PRODUCT) == 2
    assert followed("the candidate has all traffic already: `seatrial skip ") in capsys.readouterr().err
    assert seatrial("skip", PRODUCT) == 0


def test_an_id_that_fits_several_rollouts_is_answered_with_whole_ones(
    world: World, seatrial: Seatrial, capsys: Captured
) -> None:
    world.run(world.wish(2))
    assert seatrial("explain", PRODUCT, "--rollout", "rollout-") == 2
    one = capsys.readouterr().err.rpartition(": ")[2].split(" (v")[0]
    assert seatrial("explain", PRODUCT, "--rollout", one) == 0


@pytest.fixture(autouse=True)
def _doors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "doors", lambda *_: world.doors)


def a_run(world: World) -> Run:
    spec = load_product(project(world.folder) / "specs" / "flights.yaml").model_copy(update={"product": PRODUCT})
    return Run("r", spec, None, world.clock.now())


def test_a_rollback_without_a_former_champion_leads_to_what_can_be_done(world: World) -> None:
    with pytest.raises(NotFound) as error:
        former_version(a_run(world), None)
    assert followed("brings a new one") in str(error.value)
    assert advised(str(error.value)) == [["release", PRODUCT]]
    world.run(world.wish(2))
    assert former_version(a_run(world), None) == 1


def test_a_rollback_to_what_never_was_champion_leads_to_a_retry(world: World) -> None:
    with pytest.raises(NotFound) as error:
        former_version(a_run(world), 2)
    assert followed("never was champion (") in str(error.value)
    [command] = advised(str(error.value))
    assert command == ["retry", PRODUCT, "--version", "2"]
    assert version_to_retry(a_run(world), 2).version == 2


def test_a_retry_of_a_former_champion_leads_to_a_rollback(world: World) -> None:
    world.run(world.wish(2))
    with pytest.raises(NotFound) as error:
        version_to_retry(a_run(world), 1)
    assert followed("was champion before: `seatrial rollback ") in str(error.value)
    [command] = advised(str(error.value))
    assert command == ["rollback", PRODUCT, "--to", "1"]
    assert former_version(a_run(world), 1) == 1


@pytest.mark.parametrize("said", [after_kill, after_interruption])
def test_after_a_death_in_the_middle_the_rollout_can_be_looked_at_and_ended(
    world: World, seatrial: Seatrial, said: Callable[..., str]
) -> None:
    """Running the command again, which was advised once, would have undone what the platform carries on."""
    since = world.clock.now()
    world.clock.sleep(timedelta(seconds=1))
    state = until(world, Phase.OBSERVING)
    text = said(PRODUCT, since)
    assert "run it again" not in text
    assert followed("the platform carries it on within a minute") in text
    carried_meanwhile(world, state)
    for command in advised(text):
        if command[0] in {"explain", "abort"}:
            assert seatrial(*command) == 0
    assert world.served_by == {1: 100}


def test_after_a_death_before_anything_moved_the_command_is_run_again(world: World) -> None:
    since = world.clock.now() + MINUTE
    assert after_kill(PRODUCT, since).endswith(followed("before it moved any traffic: run it again"))
    world.run(world.wish(2))
    assert world.served_by == {2: 100}


def test_after_a_death_at_the_very_end_the_outcome_is_told(world: World) -> None:
    since = world.clock.now()
    world.clock.sleep(timedelta(seconds=1))
    world.run(world.wish(2))
    assert after_kill(PRODUCT, since).endswith("when its rollout was over: v2 serves all traffic")
    assert after_interruption(PRODUCT, since) == "interrupted when all was done: v2 serves all traffic"


def test_the_first_step_that_is_advised_exists(tmp_path: Path) -> None:
    folder = project(tmp_path) / "specs"
    [command] = advised(_first_step(folder))
    assert _first_step(folder).startswith(followed("try `seatrial release "))
    assert (folder / f"{command[1]}.yaml").is_file()
    (folder / "flights.yaml").unlink()
    assert followed("write a spec into ") in _first_step(folder)


@pytest.fixture
def up(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The platform runs."""
    running = type("Report", (), {"state": type("State", (), {"value": "RUNNING"})})
    monkeypatch.setattr("deployments.local_platform.lifecycle.programs", lambda _: {f"model-{PRODUCT}-v1-0": running})
    return world


def test_what_status_says_of_the_registry_is_mended_by_the_command_that_it_names(
    up: World, seatrial: Seatrial, capsys: Captured
) -> None:
    up.registry.edit_alias(PRODUCT, "champion", None)
    seatrial("status")
    told = capsys.readouterr().out
    assert followed(": the registry differs from what is true; ") in told
    [command] = advised(told)
    assert seatrial(*command) == 0
    capsys.readouterr()
    seatrial("status")
    assert "differs from what is true" not in capsys.readouterr().out
    assert up.served_by == {1: 100}


def test_a_product_whose_version_is_lost_is_whole_with_the_next_release(
    up: World, seatrial: Seatrial, capsys: Captured
) -> None:
    up.registry.delete(PRODUCT, 1)
    assert seatrial("repair", PRODUCT) == 0
    told = capsys.readouterr().out
    assert followed("registers a version that is whole") in told
    assert advised(told) == [["release", PRODUCT]]
    up.run(up.wish(2))
    assert seatrial("repair", PRODUCT) == 0
    assert "registers a version that is whole" not in capsys.readouterr().out
    up.run(up.wish(3))
    assert seatrial("repair", PRODUCT) == 0
    assert "nothing to repair" in capsys.readouterr().out
    up.settled()


def test_the_name_of_a_product_to_repair_is_found_in_status(up: World, seatrial: Seatrial, capsys: Captured) -> None:
    assert seatrial("repair", "bycicles") == 2
    said = capsys.readouterr().err
    assert followed("check the name with `seatrial status`", "flows/entrypoints/cli/repair.py") in said
    seatrial(*advised(said)[0])
    assert PRODUCT in capsys.readouterr().out
    assert seatrial("repair", PRODUCT) == 0


def test_a_rollout_that_nobody_carries_is_ended_by_the_command_that_status_names(
    up: World, seatrial: Seatrial, capsys: Captured
) -> None:
    state = until(up, Phase.OBSERVING)
    lease = up.journal.acquire(PRODUCT, this_process(), up.clock.now(), MINUTE)
    up.journal.release(lease)
    seatrial("status")
    told = capsys.readouterr().out
    assert followed("` ends it", "flows/entrypoints/cli/status.py") in told
    carried_meanwhile(up, state)
    assert seatrial(*advised(told)[-1]) == 0
    assert up.served_by == {1: 100}


def test_a_repair_while_a_rollout_is_carried_is_done_after_it(up: World, seatrial: Seatrial, capsys: Captured) -> None:
    state = until(up, Phase.OBSERVING)
    assert seatrial("repair", PRODUCT) == Busy.exit_code
    said = capsys.readouterr().err
    assert followed("carries it), and writes the names itself when it ends: `seatrial watch ") in said
    assert f"(process {os.getpid()} on " in said
    carried_meanwhile(up, state)
    assert seatrial(*advised(said)[0]) == 0
    assert seatrial("repair", PRODUCT) == 0


def test_an_order_that_waits_for_a_step_is_seen_in_watch(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    state = until(world, Phase.OBSERVING)
    assert seatrial("pause", PRODUCT) == 0
    told = capsys.readouterr()
    assert followed("; the step under way ends first: `seatrial watch ") in told.out + told.err
    carried_meanwhile(world, state)
    world.clock.passing(MINUTE)
    assert world.journal.rollout(PRODUCT, state.rollout_id).phase is Phase.PAUSED


@pytest.mark.parametrize(
    ("order", "told"),
    [("pause", followed("`seatrial resume ", "tasks/rollout_engine/explanation.py"))],
)
def test_what_explain_says_is_needed_is_what_helps(
    world: World, seatrial: Seatrial, capsys: Captured, order: str, told: str
) -> None:
    state = until(world, Phase.OBSERVING)
    carried_meanwhile(world, state)
    assert seatrial(order, PRODUCT) == 0
    capsys.readouterr()
    assert seatrial("explain", PRODUCT) == 0
    said = capsys.readouterr().out.partition("still needed: ")[2]
    assert told in said
    assert seatrial(*advised(said)[0]) == 0
    assert world.journal.rollout(PRODUCT, state.rollout_id).phase is Phase.OBSERVING


def test_a_rollout_that_is_not_known_is_found_in_the_history(
    world: World, seatrial: Seatrial, capsys: Captured
) -> None:
    world.run(world.wish(2))
    with pytest.raises(NotFound) as error:
        world.journal.rollout(PRODUCT, "rollout-7")
    assert followed("has no rollout ", "deployments/journals/refusals.py") in str(error.value)
    [command] = advised(str(error.value))
    assert seatrial(*command) == 0
    assert "rollout-2" in capsys.readouterr().out


def test_a_product_that_is_elsewhere_is_carried_on_from_there_or_taken_over(world: World) -> None:
    there, here = (replace(world.doors, place=f"{name} (on {name})") for name in ("aaaa", "bbbb"))
    state, carrier = begin(world.wish(2, Strategy.CANARY), there), Carrier(there)
    while state.phase is not Phase.OBSERVING:
        state = carrier.advance(state)
    with pytest.raises(Busy) as error:
        check_place(state, here)
    assert followed("run this command with SEATRIAL_PLACE=") in str(error.value)
    wanted = str(error.value).rpartition("SEATRIAL_PLACE=")[2]
    check_place(state, there)
    check_place(state, replace(world.doors, place=f"{wanted} (on another)"))


def test_servers_that_are_given_more_time_are_ready(world: World) -> None:
    wish, ready_at = world.wish(2), world.clock.monotonic() + 150
    world.target.script(PRODUCT, 2, Behaviour.NEVER_READY)

    def passing(_: timedelta) -> None:
        if world.clock.monotonic() >= ready_at:
            world.target.script(PRODUCT, 2, Behaviour.READY)

    world.clock.passing = passing
    slow = replace(wish, section=wish.section.model_copy(update={"ready_timeout": MINUTE}))
    said = world.run(slow).reason
    assert followed(", or raise rollout.ready_timeout") in said
    assert followed("see `seatrial logs ", "tasks/rollout_engine/server_launch.py") in said
    patient = replace(wish, rollout_id="again", section=wish.section.model_copy(update={"ready_timeout": 5 * MINUTE}))
    world.run(patient)
    assert world.served_by == {2: 100}
