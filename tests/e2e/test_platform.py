"""Starting and ending the platform: taken ports, two at once, twice, half dead, and without it."""

import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.advice import followed
from tests.e2e.conftest import SPEC, Seatrial, Shop, seatrial_in, until
from tests.e2e.traffic import ROW
from tests.e2e.under_way import UnderWay, of_home, whole

pytestmark = pytest.mark.platform


@pytest.fixture
def own() -> Iterator[Seatrial]:
    """A platform of the test's own, not up."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    platform = seatrial_in(folder)
    try:
        yield platform
    finally:
        platform.run("down")
        for process in of_home(platform):
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def taken(own: Seatrial) -> Iterator[list[int]]:
    """The wanted ports of gateway, Prefect and MLflow; this process has them all."""
    ports = [int(own.environment[f"SEATRIAL_{part}_PORT"]) for part in ("GATEWAY", "PREFECT", "MLFLOW")]
    listeners = [socket.create_server(("127.0.0.1", port)) for port in ports]
    yield ports
    for listener in listeners:
        listener.close()


def test_the_platform_starts_beside_taken_ports_ends_without_trace_and_comes_back(
    own: Seatrial, taken: list[int], tmp_path: Path
) -> None:
    shop = Shop("shop", tmp_path, SPEC).write()
    _two_at_once_end_with_one_platform(own, taken)
    _down_leaves_nothing(own)

    released = own.run("release", str(shop.file))
    assert released.returncode == 0, released.stderr
    assert whole(own, "shop") == 1
    report = own.told("status")
    assert report["platform"]["gateway"] is not None
    assert (report["platform"]["prefect"], report["platform"]["mlflow"]) == (None, None)
    assert sorted(report["processes"]) == ["forkserver", "gateway", "model-shop-v1-0"]

    again = own.run("up")
    assert again.returncode == 0, again.stderr
    assert own.told("status")["platform"]["prefect"] is not None
    assert whole(own, "shop") == 1
    assert own.told("release", str(shop.file))["version"] == 2


def _two_at_once_end_with_one_platform(own: Seatrial, taken: list[int]) -> None:
    first, second = (UnderWay(own, "up") for _ in range(2))
    codes = sorted([first.end(), second.end()])
    said = first.said + second.said
    assert codes == [0, 1], said
    assert "another `seatrial up` is at work" in said
    for port in taken:
        assert f"(not {port}: {psutil.Process().name()} (pid {os.getpid()}) has it)" in said
    chosen = json.loads((own.home / "platform.json").read_text())
    assert not {chosen["gateway"], chosen["prefect"], chosen["mlflow"]} & set(taken)


def _down_leaves_nothing(own: Seatrial) -> None:
    for _ in range(2):
        ended = own.run("down")
        assert ended.returncode == 0, ended.stderr
        assert of_home(own) == []
    assert list((own.home / "programs").iterdir()) == []
    assert own.run("status").returncode == 5


@pytest.mark.crash
def test_champions_come_back_after_down_and_up(own: Seatrial, tmp_path: Path) -> None:
    shop = Shop("shop", tmp_path, SPEC).write()
    assert own.run("release", str(shop.file)).returncode == 0
    assert own.run("down").returncode == 0
    assert of_home(own) == []
    assert own.run("up").returncode == 0
    assert until(lambda: own.ask("shop", [ROW]).status_code == 200)
    assert whole(own, "shop") == 1


@pytest.mark.crash
def test_ctrl_c_during_up_is_mended_by_up(own: Seatrial) -> None:
    starting = UnderWay(own, "up")
    assert until(lambda: "gateway" in starting.said)
    starting.command.send_signal(signal.SIGINT)
    assert starting.end() == 130, starting.said
    assert followed("what is up stays, `seatrial up` starts the rest, and `seatrial down` ends all of it") in (
        starting.said
    )
    again = own.run("up")
    assert again.returncode == 0, again.stderr
    ending = UnderWay(own, "down")
    assert until(lambda: ending.command.poll() is not None or len(of_home(own)) < 5)
    ending.command.send_signal(signal.SIGINT)
    assert ending.end() == 0 or followed("`seatrial down` once more ends what is left") in ending.said
    assert own.run("down").returncode == 0
    assert of_home(own) == []


@pytest.mark.crash
def test_parts_of_another_home_on_the_same_ports_are_not_taken_for_ones_own(
    own: Seatrial, seatrial: Seatrial, tmp_path: Path
) -> None:
    own.home.mkdir(parents=True)
    shutil.copy(seatrial.home / "platform.json", own.home / "platform.json")
    assert own.run("status").returncode == 5
    shop = Shop("shop", tmp_path, SPEC).write()
    assert own.run("release", str(shop.file)).returncode == 0
    theirs, ours = (json.loads((each.home / "platform.json").read_text()) for each in (seatrial, own))
    assert ours["gateway"] != theirs["gateway"]
    assert seatrial.ask("shop", [ROW]).status_code == 404
    assert own.ask("shop", [ROW]).status_code == 200


def victims(seatrial: Seatrial, what: str) -> list[psutil.Process]:
    """The processes that a test kills."""
    signs = {"gateway": "envoy", "server": "deployments.serving", "supervisord": "supervisor.supervisord"}
    wanted = signs.values() if what == "all" else [signs[what]]
    return [
        process
        for process in of_home(seatrial)
        if any(word == sign or Path(word).name == sign for word in process.cmdline() for sign in wanted)
    ]


@pytest.mark.parametrize(
    "what", ["gateway", *(pytest.param(each, marks=pytest.mark.crash) for each in ("server", "supervisord", "all"))]
)
def test_what_was_killed_is_repaired(seatrial: Seatrial, shop: Shop, what: str) -> None:
    shop.write()
    assert seatrial.run("release", str(shop.file)).returncode == 0
    dead = victims(seatrial, what)
    assert dead
    for process in dead:
        process.kill()
    if what in {"supervisord", "all"}:
        assert seatrial.run("up").returncode == 0
    assert until(lambda: _serves(seatrial, shop))
    assert whole(seatrial, shop.name) == 1
    assert seatrial.told("release", str(shop.file))["version"] == 2
    assert whole(seatrial, shop.name) == 2


def _serves(seatrial: Seatrial, shop: Shop) -> bool:
    import httpx

    try:
        return seatrial.ask(shop.name, [ROW]).status_code == 200
    except httpx.HTTPError:
        return False
