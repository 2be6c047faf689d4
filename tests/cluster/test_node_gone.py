"""A node that goes without a word in the middle of a rollout, where the tests may end one.

`SEATRIAL_TEST_NODE` is a node that takes pods beside another one, tainted with `seatrial.test/second` so that nobody
else's run there; `SEATRIAL_TEST_NODE_DOWN` is a command that ends it at once with all that runs on it,
`SEATRIAL_TEST_NODE_UP` one that brings it back.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.cluster import Cluster, selector_of
from deployments.cluster.resource_kinds import POD
from deployments.rollout.state import Phase
from deployments.spec import CanarySection, CanaryStep, Strategy, TolerationRule
from tests.cluster.conftest import wait_until
from tests.cluster.traffic import users
from tests.cluster.trials import RATE, SECOND, Trial

_MEANS = ("SEATRIAL_TEST_NODE", "SEATRIAL_TEST_NODE_DOWN", "SEATRIAL_TEST_NODE_UP")


@pytest.fixture
def end_the_node() -> Iterator[Callable[[], None]]:
    if not set(_MEANS) <= os.environ.keys():
        pytest.skip("nobody said how to end a node")
    yield lambda: _run("SEATRIAL_TEST_NODE_DOWN")
    _run("SEATRIAL_TEST_NODE_UP")


def _run(name: str) -> None:
    subprocess.run(os.environ[name], shell=True, check=True, timeout=180)  # noqa: S602 - whoever tests wrote it


def test_a_node_that_goes_costs_users_seconds_and_the_rollout_comes_to_an_end(
    trial: Trial,
    cluster: Cluster,
    runner: Cluster,
    end_the_node: Callable[[], None],
    record_property: Callable[[str, object], None],
) -> None:
    candidate, taint = trial.fleet.add(trial.product), TolerationRule(key="seatrial.test/second")
    spread = trial.by_way_of(runner, tolerations=(taint,))
    canary = CanarySection(steps=(CanaryStep(weight=30),), wait=90 * SECOND)
    with users(trial.url, RATE) as answered, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(spread.roll_out, candidate, Strategy.CANARY, canary=canary)
        wait_until(lambda: answered.codes[str(candidate), 200] > RATE, 400)
        there = _nodes(cluster, trial.product, candidate)
        end_the_node()
        gone = time.monotonic()
        state = ending.result(900)
        ended = time.monotonic() - gone
        time.sleep(20)
    record_property("pods were on", there)
    record_property("answered", dict(answered.codes))
    record_property("seconds until the last failure", round(max(answered.failed_at, default=gone) - gone, 1))
    record_property("seconds until the rollout's end", round(ended, 1))
    record_property("end", f"{state.phase}: {state.reason}")
    assert os.environ["SEATRIAL_TEST_NODE"] in there
    assert state.phase in {Phase.DONE, Phase.ROLLED_BACK}
    assert max(answered.failed_at, default=gone) - gone < 120


def _nodes(cluster: Cluster, product: str, version: int) -> set[str]:
    return {each["spec"].get("nodeName", "") for each in cluster.list(POD, selector_of(product, version))[0]}
