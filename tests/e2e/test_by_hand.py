"""A person's hands in MLflow and in the gateway's files, while users ask: not one of them gets a 404."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Seatrial, Shop
from tests.e2e.traffic import Traffic

pytestmark = pytest.mark.platform


def mlflow(seatrial: Seatrial, method: str, path: str, **parameters: Any) -> Any:
    with seatrial.api("mlflow", "/api/2.0/mlflow") as api:
        answer = api.request(method, f"/{path}", json=parameters, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_name_that_was_removed_and_a_tag_that_was_garbled_take_nobody_off_the_air(
    seatrial: Seatrial, shop: Shop
) -> None:
    assert seatrial.run("release", str(shop.write().file)).returncode == 0
    mlflow(seatrial, "DELETE", "registered-models/alias", name=shop.name, alias="champion")
    tag = {"name": shop.name, "version": "1", "key": "seatrial.status", "value": "Archived"}
    mlflow(seatrial, "POST", "model-versions/set-tag", **tag)
    # A release that the gate refuses: it puts right what is left over, and changes nothing else.
    shop.spec["gate"]["thresholds"] = [{"metric": "roc_auc", "min": 0.999}]
    with Traffic(seatrial, shop.name) as traffic:
        refused = seatrial.run("release", str(shop.write().file))
        facts = seatrial.product(shop.name)
    assert refused.returncode == 3, refused.stderr
    assert traffic.failures == []
    assert set(traffic.answers) == {"1"}
    assert (facts["champion"], facts["traffic"]) == (1, {"1": 100})
    assert any("the alias champion is on no version" in each for each in facts["registry"])
    assert any("seatrial.status says 'Archived'" in each for each in facts["registry"])

    assert len(seatrial.told("repair", str(shop.file))["changed"]) == 2
    repaired = seatrial.product(shop.name)
    assert repaired["registry"] == []
    assert [(each["status"], each["aliases"]) for each in repaired["versions"]] == [("live", ["champion"])]

    # A version of somebody's own, with everything that the registry says of v1: it is tried by nobody.
    found = mlflow(seatrial, "GET", f"model-versions/get?name={shop.name}&version=1")["model_version"]
    (model,) = re.findall(r"/(m-[0-9a-f]{32})/", found["source"])
    planted = {"name": shop.name, "source": found["source"], "model_id": model, "tags": found["tags"]}
    mlflow(seatrial, "POST", "model-versions/create", **planted)
    for asked in (("retry", str(shop.file)), ("retry", str(shop.file), "--version", "2")):
        tried = seatrial.run(*asked)
        assert tried.returncode == 2, tried.stderr
        assert f"{shop.name} v2 is not known to be what was judged: its seal is that of version '1'" in tried.stderr
    # As after an upgrade: the champion has no seal, and the files that lie here are known to be Seatrial's.
    mlflow(seatrial, "DELETE", "model-versions/delete-tag", name=shop.name, version="1", key="seatrial.seal")
    mlflow(seatrial, "DELETE", "model-versions/delete", name=shop.name, version="2")
    assert any("v1 is not known to be what was judged" in each for each in seatrial.product(shop.name)["registry"])
    (sealed,) = seatrial.told("repair", str(shop.file))["changed"]
    assert sealed.startswith("v1 is sealed again: its files lie in ")
    assert seatrial.product(shop.name)["registry"] == []


@pytest.mark.crash  # the same at a real gateway, without the platform: tests/contracts/routers/test_mending.py
@pytest.mark.parametrize("damage", ["emptied", "removed"])
def test_a_damaged_record_of_one_product_stops_no_other_and_takes_no_route_away(
    seatrial: Seatrial, shop: Shop, damage: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert seatrial.run("release", str(shop.write().file)).returncode == 0
    record = seatrial.home / "gateway" / "products" / f"{shop.name}.json"
    whole = record.read_bytes()
    harm: Callable[[], object] = (lambda: record.write_text("")) if damage == "emptied" else record.unlink
    harm()
    other = Shop(f"{shop.name}-b", tmp_path_factory.mktemp("other"), shop.spec)
    with Traffic(seatrial, shop.name) as traffic:
        released = seatrial.run("release", str(other.write().file))
    assert released.returncode == 0, released.stderr
    assert traffic.failures == []
    assert record.read_bytes() == whole
    assert any(each["event"] == "gateway.rebuilt" for each in seatrial.told("history", shop.name))
