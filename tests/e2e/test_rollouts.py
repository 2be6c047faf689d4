"""Rollouts that wait and judge, on the real platform under live traffic: promoted, taken back, killed, cancelled."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.conftest import SPEC, Seatrial, Shop, until
from tests.e2e.traffic import ROW, Traffic
from tests.e2e.under_way import UnderWay, of_home, running_in_prefect, whole

pytestmark = pytest.mark.platform

# Short waits, and a margin that a few hundred requests prove kept.
QUICK: dict[str, Any] = {
    "replicas": 1,
    "drain_timeout": "5s",
    "ready_timeout": "10m",
    "bake": "2s",
    "canary": {"steps": [20, 50], "wait": "3s"},
    "blue_green": {"approve": True},
    "ab": {"share": 50, "sample": 30, "match": {"header": "x-group", "value": "b"}},
    "shadow": {"share": 100, "sample": 20},
    "analysis": {
        "interval": "1s",
        "metrics": [
            {"metric": "error_rate", "margin": 0.2, "limit": 0.5, "prove": True},
            {"metric": "latency", "margin": 2.0},
        ],
    },
}
# An ensemble that is as good and a hundred times slower: no gate sees it, users would.
SLOW = {"estimator": "sklearn.calibration.CalibratedClassifierCV", "parameters": {"cv": 40}}


@pytest.fixture(scope="module")
def served(seatrial: Seatrial, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A product with a champion, whose rollouts are quick."""
    product = Shop("trial", tmp_path_factory.mktemp("trial"), SPEC | {"rollout": QUICK}).write()
    released = seatrial.run("release", str(product.file))
    assert released.returncode == 0, released.stderr
    yield product
    whole(seatrial, product.name)


@pytest.fixture
def slow(served: Shop) -> Path:
    """The same product with another model."""
    document = yaml.safe_load(served.file.read_text())
    document["model"] |= SLOW
    document["gate"]["against_champion"] = [{"metric": "roc_auc", "margin": 0.1}]
    path = served.folder / "slow.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def under_way(seatrial: Seatrial) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = seatrial.told("status")["rollouts"]
    return found


def events(seatrial: Seatrial, product: str) -> list[str]:
    return [entry["event"] for entry in seatrial.told("history", product, "--limit", "1000")]


def test_a_healthy_canary_gets_all_traffic_by_proof(seatrial: Seatrial, served: Shop) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        done = seatrial.told("release", str(served.file), "--strategy", "canary")
    assert traffic.failures == []
    assert done["former_version"] == before
    assert "proved not worse than 20 % more" in done["outcome"]
    assert whole(seatrial, served.name) == done["version"]
    assert all(verdict["identical"] for verdict in seatrial.told("replay", served.name)["verdicts"])
    explained = seatrial.run("explain", served.name)
    assert explained.returncode == 0, explained.stderr
    assert "not worse" in explained.stdout


def test_a_canary_that_is_slow_for_users_is_taken_back(seatrial: Seatrial, served: Shop, slow: Path) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        refused = seatrial.run("release", str(slow), "--strategy", "canary")
    assert refused.returncode == 4, refused.stderr
    assert "latency" in refused.stderr
    assert traffic.failures == []
    assert whole(seatrial, served.name) == before


def test_a_canary_whose_process_is_killed_goes_on_by_itself(seatrial: Seatrial, served: Shop) -> None:
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, "--strategy", "canary").wait_for("watch")
        release.flow_process().kill()
        assert release.end() == 1
        assert until(lambda: "rollout.taken_over" in events(seatrial, served.name))
        assert until(lambda: not under_way(seatrial))
    assert traffic.failures == []
    assert running_in_prefect(seatrial, served.name) == set()
    kinds = events(seatrial, served.name)
    assert kinds[kinds.index("rollout.taken_over") :].count("rollout.done") == 1
    assert whole(seatrial, served.name)


def test_cancelling_in_prefect_puts_the_traffic_back(seatrial: Seatrial, served: Shop) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, "--strategy", "canary").wait_for("watch")
        with seatrial.api() as api:
            wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}, "name": {"like_": "rollout"}}}
            (run,) = api.post("/flow_runs/filter", json=wanted).raise_for_status().json()
            assert run["name"] == f"{served.name} v{under_way(seatrial)[0]['candidate']} rollout"
            asked = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
            api.post(f"/flow_runs/{run['id']}/set_state", json=asked).raise_for_status()
        assert release.end() == 4, release.said
    assert "cancelled in Prefect" in release.said
    assert traffic.failures == []
    assert whole(seatrial, served.name) == before


@pytest.mark.crash
def test_ctrl_c_while_a_canary_is_watched_puts_the_traffic_back(seatrial: Seatrial, served: Shop) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, "--strategy", "canary").wait_for("watch")
        release.command.send_signal(signal.SIGINT)
        assert release.end() == 130, release.said
    assert traffic.failures == []
    assert whole(seatrial, served.name) == before


@pytest.mark.crash
def test_a_person_steers_a_blue_green_release_and_sees_the_preview(seatrial: Seatrial, served: Shop) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, "--strategy", "blue_green")
        assert until(lambda: [each["phase"] for each in under_way(seatrial)] == ["waiting"]), release.said
        candidate = under_way(seatrial)[0]["candidate"]
        gateway = json.loads((seatrial.home / "platform.json").read_text())["gateway"]
        preview = httpx.post(
            f"http://127.0.0.1:{gateway}/{served.name}/invocations",
            json={"dataframe_records": [ROW]},
            headers={"x-seatrial-version": str(candidate)},
            timeout=30,
            trust_env=False,
        )
        assert (preview.status_code, preview.headers["x-seatrial-version"]) == (200, str(candidate))
        assert set(traffic.answers) <= {str(before)}, "nobody meets the candidate before somebody said so"
        assert seatrial.run("approve", served.name, "--reason", "looks good").returncode == 0
        assert release.end() == 0, release.said
    assert traffic.failures == []
    assert whole(seatrial, served.name) == candidate


@pytest.mark.crash
@pytest.mark.parametrize("strategy", ["ab", "shadow"])
def test_a_comparison_ends_with_a_report_and_the_champion_in_place(
    seatrial: Seatrial, served: Shop, strategy: str
) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        done = seatrial.told("release", str(served.file), "--strategy", strategy)
    assert traffic.failures == []
    assert done["outcome"].startswith(f"v{before} serves as before: ")
    assert whole(seatrial, served.name) == before
    answered = {version for version, count in traffic.answers.items() if count}
    assert answered == ({str(before), str(done["version"])} if strategy == "ab" else {str(before)})


@pytest.mark.crash
def test_an_abort_and_a_retry_that_needs_no_training(seatrial: Seatrial, served: Shop) -> None:
    before = whole(seatrial, served.name)
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, "--strategy", "canary").wait_for("watch")
        candidate = under_way(seatrial)[0]["candidate"]
        assert seatrial.run("abort", served.name).returncode == 0
        assert release.end() == 4
        assert whole(seatrial, served.name) == before
        again = seatrial.told("retry", str(served.file), "--strategy", "canary")
    assert traffic.failures == []
    assert again["version"] == candidate
    assert whole(seatrial, served.name) == candidate


@pytest.mark.crash
@pytest.mark.parametrize("victim", ["envoy", "deployments.serving", "flows.entrypoints.runner.prefork", "prefect"])
def test_a_canary_survives_the_death_of_any_part(seatrial: Seatrial, served: Shop, victim: str) -> None:
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, "--strategy", "canary").wait_for("watch")
        ours = release.flow_process().pid
        for process in of_home(seatrial):
            if process.pid != ours and any(Path(word).name == victim or word == victim for word in process.cmdline()):
                process.kill()
        release.end()
        assert until(lambda: not under_way(seatrial))
    refused = {failure.split(":")[0] for failure in traffic.failures}
    assert victim in {"envoy", "deployments.serving"} or traffic.failures == [], refused
    assert whole(seatrial, served.name)


@pytest.mark.crash
@pytest.mark.parametrize("what", ["supervisord", "everything"])
def test_a_canary_goes_on_with_up_after_the_worst(seatrial: Seatrial, served: Shop, what: str) -> None:
    with Traffic(seatrial, served.name):
        release = UnderWay(seatrial, "release", served.file, "--strategy", "canary").wait_for("watch")
        (state,) = under_way(seatrial)
        for process in of_home(seatrial):
            if what == "everything" or "supervisor.supervisord" in process.cmdline():
                process.kill()
        assert seatrial.run("up").returncode == 0
        assert until(lambda: not under_way(seatrial))
        release.end()
    ended = [event for event in events(seatrial, served.name) if event in {"rollout.done", "rollout.rolled_back"}]
    assert ended[-1] == "rollout.done"
    assert whole(seatrial, served.name) == state["candidate"]


@pytest.mark.crash
def test_a_rollout_waits_out_down_and_goes_on_with_up(seatrial: Seatrial, served: Shop) -> None:
    with Traffic(seatrial, served.name):
        release = UnderWay(seatrial, "release", served.file, "--strategy", "canary").wait_for("watch")
        (state,) = under_way(seatrial)
        assert seatrial.run("down").returncode == 0
        assert release.end() == 1, release.said
        assert of_home(seatrial) == []
        assert seatrial.run("up").returncode == 0
        assert until(lambda: not under_way(seatrial))
    assert whole(seatrial, served.name) == state["candidate"]
