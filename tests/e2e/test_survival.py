"""A release that is killed, or interrupted, at any moment: traffic is as before, and the same release completes."""

import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.e2e.conftest import SPEC, Seatrial, Shop, until
from tests.e2e.traffic import ROW, Traffic
from tests.e2e.under_way import (
    LAST_LINE_BEFORE,
    UnderWay,
    is_over,
    running_in_mlflow,
    running_in_prefect,
    whole,
)

pytestmark = pytest.mark.platform
COLD = {"SEATRIAL_WARM": "false"}
SAMPLE = ("train", "launch", "promote")


@pytest.fixture(scope="module")
def served(seatrial: Seatrial, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A product with a champion."""
    product = Shop("survivor", tmp_path_factory.mktemp("survivor"), SPEC).write()
    released = seatrial.run("release", str(product.file))
    assert released.returncode == 0, released.stderr
    yield product
    whole(seatrial, product.name)


def moments() -> list[object]:
    """Each stage, killed at once and after a while; the sample of the default run is not marked."""
    return [
        pytest.param(stage, late, marks=() if stage in SAMPLE and not late else pytest.mark.crash)
        for stage in LAST_LINE_BEFORE
        for late in (False, True)
    ]


@pytest.mark.parametrize(("stage", "late"), moments())
def test_a_killed_release_loses_no_request_and_completes_when_repeated(
    seatrial: Seatrial, served: Shop, stage: str, late: bool
) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file).wait_for(stage)
        time.sleep(random.Random(stage).uniform(0, 0.5) if late else 0)
        release.flow_process().kill()
        code = release.end()
        again = seatrial.told("release", str(served.file))
    assert traffic.failures == []
    assert sum(traffic.answers.values()) > 20
    if code == 1:
        assert "the process of this command was killed" in release.said
    assert whole(seatrial, served.name) == again["version"] > before
    assert {int(version) for version in traffic.answers} <= {before, before + 1, again["version"]}
    assert running_in_mlflow(seatrial) == []


def test_what_is_advised_after_a_kill_is_true(seatrial: Seatrial, served: Shop) -> None:
    """Who follows it sees the rollout end; run again, the release would undo what the platform carries on."""
    before = whole(seatrial, served.name)
    release = UnderWay(seatrial, "release", served.file).wait_for("promote")
    release.flow_process().kill()
    assert release.end() == 1
    said = release.lines[-1]
    assert "the platform carries it on within a minute" in said or "when its rollout was over" in said, said
    command = ["explain", served.name]
    assert f"`seatrial {' '.join(command)}`" in said or "when its rollout was over" in said

    def over() -> bool:
        return ": done" in seatrial.run(*command).stdout.replace("now      done", ": done")

    assert until(over)
    assert whole(seatrial, served.name) > before


@pytest.mark.crash
@pytest.mark.parametrize("event", ["release.asked", "rollout.started", "step.intended"])
def test_a_kill_just_after_an_entry_in_the_journal_is_put_right(seatrial: Seatrial, served: Shop, event: str) -> None:
    known = entries(seatrial, event)
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file)
        assert until(lambda: entries(seatrial, event) > known)
        release.flow_process().kill()
        assert release.end() in {1, -signal.SIGKILL}
        again = seatrial.told("release", str(served.file))
    assert traffic.failures == []
    assert whole(seatrial, served.name) == again["version"]
    assert running_in_mlflow(seatrial) == []


def entries(seatrial: Seatrial, kind: str) -> int:
    with closing(sqlite3.connect(f"file:{seatrial.home}/journal.db?mode=ro", uri=True)) as database:
        count: int = database.execute("SELECT count(*) FROM events WHERE kind = ?", (kind,)).fetchone()[0]
    return count


@pytest.mark.crash
@pytest.mark.parametrize("stage", ["train", "shift", "retire"])
def test_a_killed_cold_release_completes_when_repeated(seatrial: Seatrial, served: Shop, stage: str) -> None:
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, **COLD).wait_for(stage)
        release.command.kill()
        assert release.end() == -signal.SIGKILL
        again = seatrial.told("release", str(served.file))
    assert traffic.failures == []
    assert whole(seatrial, served.name) == again["version"]
    assert running_in_mlflow(seatrial) == []


@pytest.mark.parametrize(
    "stage",
    [pytest.param("train", marks=pytest.mark.crash), "promote", pytest.param("retire", marks=pytest.mark.crash)],
)
def test_a_release_whose_terminal_dies_ends_by_itself_and_puts_traffic_back(
    seatrial: Seatrial, served: Shop, stage: str
) -> None:
    known = running_in_prefect(seatrial, served.name)  # a kill leaves its run there for ever
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file).wait_for(stage)
        fork = release.flow_process()
        assert fork.pid != release.command.pid
        release.command.kill()
        release.end()
        assert until(lambda: is_over(fork))
    assert traffic.failures == []
    assert whole(seatrial, served.name) == before
    assert running_in_mlflow(seatrial) == []
    assert running_in_prefect(seatrial, served.name) <= known


@pytest.mark.parametrize(
    ("stage", "changed"),
    [
        ("train", {}),
        ("promote", {}),
        pytest.param("validate", {}, marks=pytest.mark.crash),
        pytest.param("launch", {}, marks=pytest.mark.crash),
        pytest.param("retire", {}, marks=pytest.mark.crash),
        pytest.param("train", COLD, marks=pytest.mark.crash),
        pytest.param("launch", COLD, marks=pytest.mark.crash),
        pytest.param("promote", COLD, marks=pytest.mark.crash),
    ],
)
def test_ctrl_c_leaves_traffic_as_before_and_nothing_running(
    seatrial: Seatrial, served: Shop, stage: str, changed: dict[str, str]
) -> None:
    known = running_in_prefect(seatrial, served.name)  # a kill leaves its run there for ever
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, **changed).wait_for(stage)
        release.command.send_signal(signal.SIGINT)
        assert release.end() == 130, release.said
    assert release.lines[-1] == "error: interrupted: traffic is as before (`seatrial status` shows it)\n"
    assert "Traceback" not in release.said
    assert traffic.failures == []
    assert whole(seatrial, served.name) == before
    assert running_in_mlflow(seatrial) == []
    assert running_in_prefect(seatrial, served.name) <= known


@pytest.mark.crash
@pytest.mark.parametrize("changed", [{}, COLD])
def test_a_second_ctrl_c_does_no_harm_that_the_next_release_does_not_repair(
    seatrial: Seatrial, served: Shop, changed: dict[str, str]
) -> None:
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, **changed).wait_for("promote")
        release.command.send_signal(signal.SIGINT)
        time.sleep(0.05)
        release.command.send_signal(signal.SIGINT)
        assert release.end() in {1, 130}
        again = seatrial.told("release", str(served.file))
    assert traffic.failures == []
    assert whole(seatrial, served.name) == again["version"]
    assert running_in_mlflow(seatrial) == []


def test_of_two_releases_at_once_none_disturbs_the_other(seatrial: Seatrial, served: Shop) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        both = [UnderWay(seatrial, "release", served.file), UnderWay(seatrial, "release", served.file)]
        codes = [release.end() for release in both]
    assert traffic.failures == []
    assert 0 in codes
    for code, release in zip(codes, both, strict=True):
        assert code == 0 or (code == 1 and "is changing its traffic: wait for it to end" in release.said), release.said
    assert whole(seatrial, served.name) > before
    assert running_in_mlflow(seatrial) == []
    assert seatrial.ask(served.name, [ROW]).status_code == 200
