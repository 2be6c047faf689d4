"""A runner that is killed at every step of a canary, with its journal in the cluster; its successors carry it on."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from deployments.cluster import Cluster
from deployments.rollout.state import Phase
from tests.cluster.runner import Order
from tests.cluster.traffic import users
from tests.cluster.trials import RATE, Trial


@pytest.mark.parametrize("broken", [False, True], ids=["promoted", "rolled back"])
def test_a_runner_killed_at_every_step_is_succeeded_and_no_user_notices(
    serving: Trial, runner: Cluster, folder: Path, record_property: Callable[[str, object], None], broken: bool
) -> None:
    last = {"restoring", "rolled_back"} if broken else {"done"}
    former, candidate = serving.champion, serving.fleet.add(serving.product, broken=broken)
    with users(serving.url, RATE, far=0.5 if broken else 0.0) as answered:
        said = _carried_by_mortals(serving, candidate, runner, folder)
    *deaths, end = said
    record_property("deaths", len(deaths))
    record_property("answered", dict(answered.codes))
    assert end.startswith(f"ended {Phase.ROLLED_BACK if broken else Phase.DONE} "), end
    assert {moment.split()[1] for moment in deaths if "saved" in moment} == {"running", "observing", *last}
    assert any(moment.startswith("before shift") for moment in deaths)
    # Of a broken candidate half of the answers fail, which is why it is taken back.
    failed = {who: count for who, count in answered.codes.items() if who[1] != 200 and who[0] != str(candidate)}
    assert failed == {}
    assert broken or answered.failed(candidate) == 0
    assert serving.at_rest_with == (former if broken else candidate,)


def _carried_by_mortals(trial: Trial, candidate: int, runner: Cluster, folder: Path) -> list[str]:
    settings = trial.fleet.settings
    order = Order(
        trial.product,
        candidate,
        runner.namespace,
        str(settings.tracking_uri),
        str(settings.home),
        trial.section.model_dump_json(),
    )
    wish = folder / "wish.json"
    wish.write_text(json.dumps(asdict(order)))
    command = [sys.executable, "-m", "tests.cluster.runner", str(wish)]
    root = Path(__file__).parents[2]
    allowed = os.environ | {"KUBECONFIG": str(folder / "runner.json")}
    ended = subprocess.run(command, cwd=root, env=allowed, capture_output=True, text=True, timeout=1200, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return [line for line in ended.stdout.splitlines() if line]
