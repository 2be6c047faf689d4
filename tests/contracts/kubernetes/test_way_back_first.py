"""On a cluster's doors, too: harm is proved while something is away, and users are back within two seconds."""

from pathlib import Path

import pytest

from deployments.rollout.state import Phase
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.tasks.rollout_engine.hostile import AWAY, MOMENTS, through

# Every moment and everything that may be away once; the whole with `make test-crash`.
SAMPLE = {
    ("canary at 10 %", "journal"),
    ("canary at 50 %", "MLflow"),
    ("canary between two steps", "Prefect"),
    ("canary in a hold", "disk full"),
    ("canary that waits for a person", "feedback database"),
    ("canary in a pause", "warm process"),
    ("canary after its switch", "journal"),
    ("blue-green after its switch", "MLflow"),
    ("A/B", "disk full"),
    ("shadow", "journal"),
}
# A cluster's routes are read and written by one and the same API: nothing corresponds to Envoy's admin socket.
CELLS = [
    pytest.param(moment, what, marks=[] if (moment, what) in SAMPLE else [pytest.mark.crash])
    for moment in MOMENTS
    for what in AWAY
    if what != "admin socket"
]


@pytest.mark.parametrize(("moment", "what"), CELLS)
def test_users_are_back_within_two_seconds_of_the_proof(
    api: FakeKubernetes, tmp_path: Path, moment: str, what: str
) -> None:
    world = ClusterWorld(tmp_path, api=api)
    course = through(world, MOMENTS[moment], what)
    assert course.seconds_to_act <= 2
    assert course.state.phase is Phase.ROLLED_BACK
    assert world.unanswered == 0
    world.settled()
