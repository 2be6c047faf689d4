"""Whom `seatrial down` ends: carriers of this platform's rollouts on this machine, and nobody who looks like one."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.journals.in_memory import InMemoryJournal
from deployments.local_platform.rollout_processes import end_carriers
from deployments.process_identity import Owner, this_process
from deployments.rollout.state import Phase
from tests.unit.deployments.rollout.a_rollout import rollout

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE = "aaaa (on laptop)"


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["/bin/sleep", "600"])
    yield process
    process.kill()
    process.wait()


def owner_of(process: "subprocess.Popen[bytes]") -> Owner:
    ticks = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    return replace(this_process(), pid=process.pid, started=ticks)


def carried_by(owner: Owner, place: str = HERE) -> InMemoryJournal:
    journal, state = InMemoryJournal(), replace(rollout(Phase.OBSERVING, 3), place=place)
    journal.save(state, journal.acquire(state.product, owner, NOW, timedelta(minutes=1)))
    return journal


def test_the_carrier_of_a_rollout_is_ended_as_by_a_crash(child: "subprocess.Popen[bytes]") -> None:
    assert len(end_carriers(carried_by(owner_of(child)), NOW, HERE)) == 1
    assert child.wait(60) == -9


@pytest.mark.parametrize(
    "difference",
    [{"namespace": "4026532999"}, {"boot": "another"}, {"machine": "another"}, {"started": 1}, {"boot": ""}],
    ids=str,
)
def test_a_process_that_only_has_its_number_and_host_is_left_alone(
    child: "subprocess.Popen[bytes]", difference: dict[str, str]
) -> None:
    """Of another container, another boot, another machine; a later one; and whoever an older journal names."""
    stranger = replace(owner_of(child), **difference)  # type: ignore[arg-type]
    assert end_carriers(carried_by(stranger), NOW, HERE) == ()
    assert child.poll() is None


def test_the_carrier_of_another_platforms_servers_is_left_alone(child: "subprocess.Popen[bytes]") -> None:
    assert end_carriers(carried_by(owner_of(child), "bbbb (on laptop)"), NOW, HERE) == ()
    assert child.poll() is None
    assert len(end_carriers(carried_by(owner_of(child), ""), NOW, HERE)) == 1


def test_nobody_ends_itself() -> None:
    assert end_carriers(carried_by(this_process()), NOW, HERE) == ()
