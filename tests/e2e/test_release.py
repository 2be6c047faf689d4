"""The main job on real data, through the command line, with the platform up."""

from dataclasses import replace
from datetime import datetime

import httpx
import pandas as pd
import pytest

from tests.advice import followed
from tests.e2e.conftest import ROOT, Seatrial, Shop, rows, until

pytestmark = pytest.mark.platform

FLIGHT = {"carrier": "UA", "origin": "EWR", "dest": "ORD"}


def test_flights_goes_from_data_to_live_traffic_and_back(seatrial: Seatrial) -> None:
    flights = str(ROOT / "specs" / "flights.yaml")
    never = seatrial.run("rollback", flights)
    assert followed(" was never released here: `seatrial release ", "flows/entrypoints/cli/release.py") in never.stderr
    first = seatrial.told("release", flights)
    assert (first["product"], first["version"], first["former_version"]) == ("flights", 1, None)
    second = seatrial.told("release", flights, "--window", "2013-02-01..2013-04-01")
    assert (second["version"], second["former_version"]) == (2, 1)

    answer = seatrial.ask("flights", [_flight()])
    assert answer.headers["x-seatrial-version"] == "2"
    assert sum(answer.json()["predictions"][0]) == pytest.approx(1.0)

    rolled_back = seatrial.told("rollback", flights)
    assert (rolled_back["version"], rolled_back["former_version"]) == (1, 2)
    assert seatrial.ask("flights", [_flight()]).headers["x-seatrial-version"] == "1"

    facts = seatrial.product("flights")
    assert facts["traffic"] == {"1": 100}
    assert facts["servers"] == {"1": ["ready", "ready"]}
    assert [version["status"] for version in facts["versions"]] == ["live", "rolled_back"]
    for version in facts["versions"]:
        assert version["size_mb"] > 0
        assert len(version["data_fingerprint"]) == 64
        assert datetime.fromisoformat(version["deployed_at"]).tzinfo is not None
        assert 0.6 < version["metrics"]["roc_auc"] < 0.8


def _flight() -> dict[str, object]:
    import yaml

    document = yaml.safe_load((ROOT / "specs" / "flights.yaml").read_text())
    return dict.fromkeys(document["preprocessing"]["numeric"]["columns"], 10.0) | FLIGHT


def test_bikeshare_goes_the_same_way_from_its_spec_alone(seatrial: Seatrial) -> None:
    released = seatrial.told("release", str(ROOT / "specs" / "bikeshare.yaml"))
    assert released["version"] == 1
    metrics = seatrial.product("bikeshare")["versions"][0]["metrics"]
    assert metrics["mae"] < 60
    assert seatrial.told("doctor")["exposed"] == []  # of all that a platform and two products leave behind


def test_a_worse_candidate_is_refused_and_the_champion_serves_on(seatrial: Seatrial, shop: Shop) -> None:
    shop.write()
    assert seatrial.run("release", str(shop.file)).returncode == 0
    frame = rows()
    frame.loc[:299, "bought"] = frame.loc[:299, "bought"].sample(frac=1, random_state=1).to_numpy()
    shop.write(frame)
    refused = seatrial.run("release", str(shop.file))
    assert refused.returncode == 3
    assert "the candidate is not good enough" in refused.stderr
    assert "roc_auc" in refused.stderr
    assert seatrial.product(shop.name)["traffic"] == {"1": 100}
    assert len(seatrial.product(shop.name)["versions"]) == 1
    history = seatrial.told("history", shop.name)
    assert [entry["event"] for entry in history][-2:] == ["gate.refused", "release.refused"]


def test_data_that_break_a_critical_expectation_are_refused_before_training(seatrial: Seatrial, shop: Shop) -> None:
    frame = rows()
    frame.loc[7, "price"] = -1.0
    shop.write(frame)
    refused = seatrial.run("release", str(shop.file))
    assert refused.returncode == 3
    assert "price" in refused.stderr
    assert "model.trained" not in refused.stderr


def test_servers_that_do_not_become_ready_in_time_are_rolled_back(seatrial: Seatrial, shop: Shop) -> None:
    shop.write()
    assert seatrial.run("release", str(shop.file)).returncode == 0
    shop.spec["rollout"]["ready_timeout"] = "1ms"
    shop.write()
    failed = seatrial.run("release", str(shop.file))
    assert failed.returncode == 4, failed.stderr
    assert "v1 serves as before" in failed.stderr
    facts = seatrial.product(shop.name)
    assert facts["traffic"] == {"1": 100}
    assert list(facts["servers"]) == ["1"]
    assert [version["status"] for version in facts["versions"]] == ["live", "refused"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("release", "nothing-of-this-name"), 2, "no product 'nothing-of-this-name'"),
        (("release", "{spec}", "--window", "2030-01-01..2030-02-01"), 2, "2026-01-"),
        (("rollback", "{spec}"), 2, "was never released here: `seatrial release "),
        (("status", "nothing-of-this-name"), 2, "was never released here"),
        (("history", "nothing-of-this-name"), 2, "nothing is known of"),
        (("logs", "nothing-of-this-name"), 2, "no log of"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    seatrial: Seatrial, shop: Shop, arguments: tuple[str, ...], code: int, says: str
) -> None:
    shop.write()
    result = seatrial.run(*(argument.format(spec=shop.file) for argument in arguments))
    assert (result.returncode, says in result.stderr) == (code, True), result.stderr


def spoilt(what: str) -> pd.DataFrame:
    frame = rows()
    match what:
        case "a column gone":
            return frame.drop(columns="visits")
        case "one class only":
            return frame.assign(bought=1)
        case "no rows":
            return frame.head(0)
        case "NaN in the target":
            return frame.assign(bought=frame["bought"].where(frame.index != 5))
        case _:
            return frame.assign(visits=float("nan"))


@pytest.mark.parametrize(
    ("what", "codes", "says"),
    [
        ("a column gone", {2}, "visits"),
        ("one class only", {2, 3}, "bought"),
        ("no rows", {2}, "has columns but no row"),
        ("NaN in the target", {2, 3}, "bought"),
        ("all of a feature null", {3}, "visits"),
    ],
)
def test_spoilt_data_end_with_a_reason_and_move_nothing(
    seatrial: Seatrial, shop: Shop, what: str, codes: set[int], says: str
) -> None:
    shop.write(spoilt(what))
    result = seatrial.run("release", str(shop.file))
    assert result.returncode in codes, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert seatrial.ask(shop.name, [{}]).status_code == 404


def test_a_wrong_delimiter_is_told_with_the_right_one(seatrial: Seatrial, shop: Shop) -> None:
    shop.write()
    rows().to_csv(shop.folder / "rows.csv", index=False, sep=";")
    result = seatrial.run("release", str(shop.file))
    assert result.returncode == 2
    assert "';'" in result.stderr


def test_a_missing_file_is_named(seatrial: Seatrial, shop: Shop) -> None:
    shop.write()
    (shop.folder / "rows.csv").unlink()
    result = seatrial.run("release", str(shop.file))
    assert result.returncode == 2
    assert "rows.csv" in result.stderr


def test_an_estimator_that_raises_is_quoted(seatrial: Seatrial, shop: Shop) -> None:
    shop.spec["model"]["parameters"] = {"C": -1.0}
    shop.write()
    result = seatrial.run("release", str(shop.file))
    assert result.returncode == 2
    assert "'C' parameter" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_factory_of_ones_own_is_trained_and_served(seatrial: Seatrial, shop: Shop) -> None:
    (seatrial.project / "my_models.py").write_text(
        "from sklearn.ensemble import RandomForestClassifier\n\n\n"
        "def small_forest(trees):\n    return RandomForestClassifier(n_estimators=trees, max_depth=4)\n"
    )
    del shop.spec["model"]["estimator"]
    shop.spec["model"] |= {"factory": "my_models.small_forest", "parameters": {"trees": 20}}
    shop.write()
    result = seatrial.run("release", str(shop.file))
    assert result.returncode == 0, result.stderr
    answer = seatrial.ask(shop.name, [{"price": 3.0, "visits": 12, "country": "FR"}])
    assert answer.json()["predictions"][0][1] > 0.5


def test_a_release_through_the_worker_ends_with_a_champion(seatrial: Seatrial, shop: Shop) -> None:
    shop.write()
    elsewhere = seatrial.run("release", str(shop.file), "--detach")
    assert elsewhere.returncode == 2, "the worker takes specs from specs/ only"
    shop = replace(shop, folder=seatrial.project / "specs" / shop.name).write()
    started = seatrial.told("release", str(shop.file), "--detach")
    with seatrial.api() as api:
        state = end_of(api, started["id"])
        assert state["type"] == "COMPLETED", state
        assert seatrial.product(shop.name)["champion"] == 1
        run = api.get(f"/flow_runs/{started['id']}").json()
        assert run["name"] == f"{shop.name} v1 release"
        artifacts = api.post("/artifacts/filter", json={"limit": 200}).json()
        keys = {artifact["key"] for artifact in artifacts if artifact["flow_run_id"] == started["id"]}
        assert {f"{shop.name}-validation", f"{shop.name}-gate", f"{shop.name}-version", f"{shop.name}-mlflow"} <= keys


def end_of(api: httpx.Client, run_id: str) -> dict[str, str]:
    """The final state of a flow run; its last one after two minutes."""

    def state() -> dict[str, str]:
        found: dict[str, str] = api.get(f"/flow_runs/{run_id}").json()["state"]
        return found

    until(lambda: state()["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
    return state()


def test_a_product_has_a_deployment_with_a_form_and_others_have_one_for_all(seatrial: Seatrial, shop: Shop) -> None:
    shop.write()
    folder = str(shop.file.parent)
    assert seatrial.told("apply", folder, "--yes")["done"] > 0
    assert seatrial.told("apply", folder, "--dry-run") == {"changes": [], "done": 0}
    assert shop.name in seatrial.told("schedules")
    with seatrial.api() as api:
        release = api.get(f"/deployments/name/release/{shop.name}").json()
        form = release["parameter_openapi_schema"]["definitions"]["ReleaseRequest"]["properties"]
        assert {"product", "strategy", "window", "replicas"} <= set(form)
        assert release["parameters"] == {"request": {"product": shop.file.stem}}
        assert api.get("/deployments/name/rollback/rollback").status_code == 200
