"""Signed requests through the real gateway become runs of the real worker: a release, and a version with an alias."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psutil
import pytest

from deployments.clock import SystemClock
from deployments.settings import Settings
from deployments.webhooks.hooks import Hooks
from deployments.webhooks.trial import send
from tests.e2e.conftest import Seatrial, Shop, until
from tests.e2e.under_way import of_home

pytestmark = pytest.mark.platform


def history(seatrial: Seatrial, product: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in seatrial.told("history", product, "--limit", "1000") if each["event"] == kind]


def set_alias(seatrial: Seatrial, product: str, version: int) -> None:
    """By the API that MLflow's page asks."""
    with seatrial.api("mlflow", "/ajax-api/2.0/mlflow") as api:
        wanted = {"name": product, "alias": "challenger", "version": str(version)}
        api.post("/registered-models/alias", json=wanted).raise_for_status()


@pytest.fixture
def here(seatrial: Seatrial, shop: Shop) -> Iterator[Shop]:
    """A product with a champion whose spec lies where runs of the worker take it from."""
    made = replace(shop, folder=seatrial.project / "specs").write()
    assert seatrial.run("release", str(made.file)).returncode == 0
    yield made
    made.file.unlink()


def test_a_ci_releases_a_product_and_an_alias_on_mlflows_page_rolls_a_version_out(
    seatrial: Seatrial, here: Shop
) -> None:
    shop = here
    shop.spec["rollout"]["ready_timeout"] = "1ms"  # so that v2 is registered, and refused
    shop.write()
    assert seatrial.run("deploy").returncode == 0

    seatrial.told("webhook", "create", "generic", shop.name, "--on", "release")
    sent = seatrial.told("webhook", "test", shop.name, "--yes")
    assert (sent["status"], sent["delivery"]["state"]) == (202, "started"), sent
    assert until(lambda: bool(history(seatrial, shop.name, "release.failed")))
    assert seatrial.product(shop.name)["champion"] == 1
    (started,) = history(seatrial, shop.name, "webhook.started")
    (asked,) = [each for each in history(seatrial, shop.name, "release.asked") if each["run"] == started["run"]]
    assert (started["who"], asked["run"]) == ("generic (webhook)", sent["delivery"]["run"])

    shop.spec["rollout"]["ready_timeout"] = "10m"
    shop.write()
    made = seatrial.told("webhook", "create", "mlflow", shop.name)
    assert "key" not in made
    set_alias(seatrial, shop.name, 2)
    assert until(lambda: seatrial.product(shop.name)["champion"] == 2)
    _, by_alias = history(seatrial, shop.name, "webhook.started")
    assert (by_alias["who"], by_alias["reason"]) == ("mlflow (webhook)", "alias:challenger was set on v2")
    deliveries = seatrial.told("webhook", "list", shop.name)["deliveries"]
    assert [each["state"] for each in deliveries] == ["started", "started"]
    seatrial.told("webhook", "remove", "mlflow", shop.name)


VICTIMS = {
    "control": "flows.entrypoints.control_service.main",
    "prefect-server": "flows.entrypoints.runner.prefect_server",
    "prefect-worker": "prefect",
    "mlflow-server": "deployments.registry.mlflow_server",
    "everything": "",
}


def kill(seatrial: Seatrial, victim: str) -> None:
    """With SIGKILL, as the kernel does when memory is short."""
    for process in of_home(seatrial):
        with suppress(psutil.Error):  # another one's death has ended it
            words = process.cmdline()
            ours = VICTIMS[victim] in words and (victim != "prefect-worker" or "worker" in words)
            if ours or victim == "everything":
                process.kill()


@pytest.mark.crash
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("first", ["send", "kill"])
def test_whatever_dies_around_a_delivery_there_is_one_run(
    seatrial: Seatrial, here: Shop, victim: str, first: str
) -> None:
    if first == "kill" and victim in {"control", "everything"}:
        pytest.skip("nobody is there to take it")
    assert seatrial.run("deploy").returncode == 0
    seatrial.told("webhook", "create", "generic", here.name, "--on", "release")
    settings = Settings(home=seatrial.home, project=seatrial.project)
    hook = Hooks(settings.keys_folder).find("generic", here.name)
    gateway = str(seatrial.told("status")["platform"]["gateway"])
    if first == "kill":
        kill(seatrial, victim)
    sent = send(hook, gateway, 1, SystemClock())
    assert sent.status == 202
    if first == "send":
        kill(seatrial, victim)
    if victim == "everything":
        assert seatrial.run("up").returncode == 0
    assert until(lambda: seatrial.product(here.name)["champion"] == 2)
    (started,) = history(seatrial, here.name, "webhook.started")
    assert [each["run"] for each in history(seatrial, here.name, "release.asked")].count(started["run"]) == 1
    with seatrial.api() as api:
        found = api.post("/flow_runs/filter", json={"flow_runs": {"tags": {"all_": ["webhook"]}}}).json()
    assert [run["id"] for run in found if run["parameters"]["request"]["product"] == here.name] == [started["run"]]
