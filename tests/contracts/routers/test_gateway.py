"""What only a real gateway can lose: requests, files, its own life."""

import itertools
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import SystemClock
from deployments.errors import RouterRefused, RouterUnreachable
from deployments.routers.envoy import EnvoyRouter, drain, prepare
from deployments.routers.envoy.admin import Admin
from deployments.routers.envoy.config_files import EnvoyFiles
from deployments.routers.envoy.config_rejections import Complaints
from deployments.routers.envoy.config_updates import Publisher
from deployments.traffic import Weights
from tests.contracts.routers.gateway import ENOUGH, IMPATIENT, Gateway, constant_load, contents, eventually
from tests.contracts.routers.worlds import EnvoyWorld, one, requests, two
from tests.ports import free_port

PROJECT = Path(__file__).resolve().parents[3]


def test_a_rolling_switch_under_constant_load_loses_nothing(real: EnvoyWorld, product: str) -> None:
    first, second = real.server(1), real.server(2)
    real.router.apply(product, one(1, first))
    with constant_load(real.gateway.port, product) as answers:
        for percent in (1, 25, 50, 100):
            real.router.apply(product, two(first, second, percent))
        real.router.apply(product, one(2, second))
        moved = len(answers)
        real.servers.stop(first)
        eventually(lambda: len(answers) > max(1500, moved + 200))
    got = Counter(answers)
    assert set(got) == {1, 2}
    assert got[1] > 100
    # What clients got and what the gateway counted is the same, to the request.
    assert requests(real.router, product) == got


def test_servers_are_replaced_one_by_one_under_load_without_a_loss(real: EnvoyWorld, product: str) -> None:
    former = (real.server(1), real.server(1))
    real.router.apply(product, one(1, *former))
    with constant_load(real.gateway.port, product) as answers:
        for _ in range(2):
            fresh = (former[1], real.server(1))
            real.router.apply(product, one(1, *fresh))
            real.servers.stop(former[0])
            former = fresh
        last = real.server(1)
        real.router.apply(product, one(1, last))
        for address in former:
            real.servers.stop(address)
        moved = len(answers)
        eventually(lambda: len(answers) > moved + 100)
    assert set(answers) == {1}
    assert real.router.read(product) == one(1, last)


def test_a_server_that_is_still_starting_is_waited_for(real: EnvoyWorld, product: str) -> None:
    first, late = real.server(1), real.dead()
    real.router.apply(product, one(1, first))
    starting = threading.Timer(0.2, real.servers.start, (2, late))
    starting.start()
    with constant_load(real.gateway.port, product) as answers:
        real.router.apply(product, one(2, late))
        eventually(lambda: answers[-1:] == [2])
    starting.join()
    assert set(answers) == {1, 2}


def test_a_dead_canary_does_not_stand_in_the_way_of_its_rollback(real: EnvoyWorld, product: str) -> None:
    first, second = real.server(1), real.server(2)
    real.router.apply(product, two(first, second, 10))
    real.servers.stop(second)
    eventually(lambda: -503 in real.ask(product, 50))
    time.sleep(1.2)  # the health check, once a second, has noticed too
    real.router.apply(product, two(first, second, 0))
    assert set(real.ask(product, 50)) == {1}
    real.router.apply(product, one(1, first))
    assert real.router.read(product) == one(1, first)


def test_a_server_that_says_it_is_not_ready_gets_nothing(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(66, real.server(66)))
    assert set(real.ask(product, 5)) == {66}
    real.servers.behaviour.sick.add(66)
    eventually(lambda: set(real.ask(product, 5)) == {-503})
    real.servers.behaviour.sick.clear()
    eventually(lambda: set(real.ask(product, 5)) == {66})


class Interrupted(SystemClock):
    """A clock on which Ctrl-C is pressed at the first wait, once."""

    def __init__(self) -> None:
        self.pressed = False

    def sleep(self, duration: timedelta) -> None:
        if not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt
        super().sleep(duration)


def test_an_apply_that_is_interrupted_while_it_waits_is_undone(real: EnvoyWorld, product: str) -> None:
    first, late, gateway = real.server(1), real.dead(), real.gateway
    real.router.apply(product, one(1, first))
    before = contents(gateway.folder)
    router = EnvoyRouter(gateway.folder, gateway.run_folder, Interrupted(), patience=IMPATIENT)
    with pytest.raises(KeyboardInterrupt):
        router.apply(product, two(first, late, 50))
    assert real.router.read(product) == one(1, first)
    assert contents(gateway.folder) == before


def publisher(gateway: Gateway) -> Publisher:
    files = EnvoyFiles(gateway.folder, gateway.run_folder)
    return Publisher(files, Admin(files.admin_socket), SystemClock(), IMPATIENT, Complaints(gateway.log))


def test_traffic_that_has_moved_already_can_be_put_back(own: EnvoyWorld, product: str) -> None:
    former, wanted = one(1, own.server(1)), one(2, own.server(2))
    own.router.apply(product, former)
    before = contents(own.gateway.folder)
    steps = publisher(own.gateway)
    steps.add_servers({product: wanted})
    steps.await_servers(product, former, wanted)
    steps.move_traffic({product: wanted})
    assert set(own.ask(product, 5)) == {2}
    steps.put_back(product, {product: former})
    assert set(own.ask(product, 5)) == {1}
    assert own.router.read(product) == former
    assert contents(own.gateway.folder) == before


def test_a_route_that_the_running_gateway_refuses_is_reported_with_its_reason(own: EnvoyWorld, product: str) -> None:
    with pytest.raises(RouterRefused, match=f"rds.json: .*unknown.* cluster '{product}_v1'"):
        publisher(own.gateway).move_traffic({product: one(1, own.server(1))})
    assert own.router.read(product) is None
    own.router.apply(product, one(1, own.server(1)))
    assert set(own.ask(product, 5)) == {1}


def test_a_gateway_that_reads_other_files_is_noticed(real: EnvoyWorld, product: str, tmp_path: Path) -> None:
    patience = replace(IMPATIENT, confirm=timedelta(seconds=0.2))
    router = EnvoyRouter(tmp_path, real.gateway.run_folder, SystemClock(), patience=patience)
    with pytest.raises(RouterUnreachable, match=r"did not take .*cds\.json within 0\.2 s"):
        router.apply(product, one(1, real.server(1)))


def test_a_version_that_goes_first_answers_what_it_has(real: EnvoyWorld, product: str) -> None:
    first, second = real.server(1), real.server(2)
    real.router.apply(product, one(1, first))
    with ThreadPoolExecutor(1) as pool, real.held(product):
        moving = pool.submit(real.router.apply, product, one(2, second))
        eventually(lambda: set(real.ask(product, 5)) == {2})
        time.sleep(0.1)
        assert not moving.done()
        assert real.router.in_flight(product, 1) == 1
        real.servers.behaviour.gate.set()
        moving.result(10)
    assert real.router.read(product) == one(2, second)


def test_a_version_that_does_not_finish_in_time_goes_with_a_later_call(real: EnvoyWorld, product: str) -> None:
    second = real.server(2)
    router = real.gateway.router(replace(IMPATIENT, drain=timedelta(0)))
    router.apply(product, one(1, real.server(1)))
    with real.held(product):
        router.apply(product, one(2, second))
        assert router.in_flight(product, 1) == 1
        known = router.read(product)
        assert known is not None
        assert [backend.version for backend in known.backends] == [1, 2]
        assert known.weights == Weights.all_to(2)
    router.apply(product, one(2, second))
    assert router.read(product) == one(2, second)


def test_two_processes_that_apply_at_once_keep_both_products(real: EnvoyWorld, product: str) -> None:
    products = [f"{product}-a", f"{product}-b"]
    addresses = [real.server(1), real.server(1)]
    writers = [writer(real, name, address) for name, address in zip(products, addresses, strict=True)]
    assert [each.wait(30) for each in writers] == [0, 0]
    for name, address in zip(products, addresses, strict=True):
        assert real.router.read(name) == one(1, address)
        assert set(real.ask(name, 5)) == {1}


WRITER = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from deployments.clock import SystemClock
from deployments.routers.envoy import EnvoyRouter, Patience
from deployments.traffic import Backend, Routing, Weights

folder, run_folder, product, version, address, last = sys.argv[1:]
left = int(last)

def die_at_the_last_rename(event, arguments):
    global left
    if event == "os.rename" and left:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die_at_the_last_rename)
router = EnvoyRouter(Path(folder), Path(run_folder), SystemClock(), patience=Patience(ready=timedelta(seconds=2)))
router.apply(product, Routing((Backend(int(version), (address,)),), Weights.all_to(int(version))))
"""


def writer(
    world: EnvoyWorld, product: str, address: str, version: int = 1, last_rename: int = 0
) -> subprocess.Popen[bytes]:
    """Another process that applies; with `last_rename` it is killed just before that rename."""
    arguments = (world.gateway.folder, world.gateway.run_folder, product, version, address, last_rename)
    return subprocess.Popen([sys.executable, "-c", WRITER, *map(str, arguments)], cwd=PROJECT)


def test_a_writer_killed_between_any_two_writes_leaves_the_old_or_the_new(own: EnvoyWorld, product: str) -> None:
    first, second, other = own.server(1), own.server(2), own.server(9)
    ends = []
    for last_rename in itertools.count(1):
        own.router.apply(product, one(1, first))
        code = writer(own, product, second, version=2, last_rename=last_rename).wait(30)
        left = own.router.read(product)
        assert left is not None
        assert left.weights in (Weights.all_to(1), Weights.all_to(2))
        # Somebody else's call neither loses the product nor moves its traffic.
        own.router.apply("other", one(9 + last_rename % 2, other))
        seen = own.router.read(product)
        assert seen is not None
        assert seen.weights == left.weights
        assert set(own.ask(product, 5)) == set(left.weights.percents)
        ends.append(next(iter(left.weights.percents)))
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert ends == sorted(ends)
    assert len(ends) > 5
    assert (ends[0], ends[-1]) == (1, 2)
    own.router.apply(product, one(2, second))
    assert own.router.read(product) == one(2, second)


def test_a_gateway_that_starts_again_on_another_port_has_the_same_routing(own: EnvoyWorld, product: str) -> None:
    routing = two(own.server(1), own.server(2), 30)
    own.router.apply(product, routing)
    own.gateway.stop()
    own.gateway.port = free_port()
    own.gateway.start()
    eventually(lambda: set(own.ask(product, 30)) == {1, 2})
    assert own.router.read(product) == routing


def test_a_keeper_may_start_the_same_command_again_without_preparing(own: EnvoyWorld, product: str) -> None:
    routing = one(1, own.server(1))
    own.router.apply(product, routing)
    assert own.gateway.process is not None
    command = own.gateway.process.args
    own.gateway.stop(signal.SIGKILL)
    with own.gateway.log.open("ab") as log:
        own.gateway.process = subprocess.Popen(command, stderr=log)
    eventually(lambda: set(own.ask(product, 5)) == {1})
    assert own.router.read(product) == routing


def test_files_that_went_missing_are_written_again(own: EnvoyWorld, product: str) -> None:
    routing = one(1, own.server(1))
    own.router.apply(product, routing)
    own.gateway.stop()
    shutil.rmtree(own.gateway.folder / "eds")
    for name in ("rds.json", "cds.json", "bootstrap.json"):
        (own.gateway.folder / name).unlink()
    own.gateway.start()
    eventually(lambda: set(own.ask(product, 5)) == {1})
    assert own.router.read(product) == routing


def test_a_gateway_that_is_down_is_unreachable_and_nothing_is_written(own: EnvoyWorld, product: str) -> None:
    routing = one(1, own.server(1))
    own.router.apply(product, routing)
    own.gateway.stop()
    before = contents(own.gateway.folder)
    for call in (
        lambda: own.router.apply(product, one(2, own.server(2))),
        lambda: own.router.remove(product),
        lambda: own.router.read(product),
        lambda: own.router.in_flight(product, 1),
        lambda: own.router.tallies(product),
    ):
        with pytest.raises(RouterUnreachable, match=r"envoy\.sock"):
            call()
    assert contents(own.gateway.folder) == before


def test_a_taken_port_ends_the_gateway_with_an_error(own: EnvoyWorld, folder: Path, product: str) -> None:
    place = folder / f"2-{product}"
    place.mkdir()
    command = prepare(place / "gateway", place, "127.0.0.1", own.gateway.port)
    second = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert second.returncode != 0
    assert b"Address already in use" in second.stderr


def test_a_gateway_that_is_drained_first_cuts_nobody_off(own: EnvoyWorld, product: str) -> None:
    own.router.apply(product, one(1, own.server(1)))
    clock = SystemClock()
    with own.held(product):
        assert not drain(own.gateway.run_folder, clock, timedelta(seconds=0.1))
        assert own.router.in_flight(product, 1) == 1
    assert drain(own.gateway.run_folder, clock, ENOUGH)
    own.gateway.stop()
    assert drain(own.gateway.run_folder, clock, ENOUGH)
