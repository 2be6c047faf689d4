"""Harm on the real platform while a part of it does not answer: users are back before that part is."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import SPEC, Seatrial, Shop, until
from tests.e2e.test_rollouts import QUICK, SLOW
from tests.e2e.traffic import Traffic
from tests.e2e.under_way import UnderWay, whole

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def served(seatrial: Seatrial, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A product with a champion, whose next version is a hundred times slower."""
    product = Shop("haste", tmp_path_factory.mktemp("haste"), SPEC | {"rollout": QUICK}).write()
    released = seatrial.run("release", str(product.file))
    assert released.returncode == 0, released.stderr
    document = yaml.safe_load(product.file.read_text())
    document["model"] |= SLOW
    document["gate"]["against_champion"] = [{"metric": "roc_auc", "margin": 0.1}]
    product.file.write_text(yaml.safe_dump(document))
    yield product
    whole(seatrial, product.name)


@contextlib.contextmanager
def silent(database: Path) -> Iterator[None]:
    """A database of SQLite that answers nobody: whoever asks it waits, and is told in the end that it is locked."""
    with contextlib.closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def record(seatrial: Seatrial, product: str) -> dict[str, Any]:
    """How the gateway's own files say that traffic flows."""
    found: dict[str, Any] = json.loads((seatrial.home / "gateway" / "products" / f"{product}.json").read_text())
    return found


@pytest.mark.parametrize(
    "database", ["mlflow/mlflow.db", pytest.param("journal.db", marks=pytest.mark.crash)], ids=["MLflow", "journal"]
)
def test_users_are_back_while_nobody_can_be_asked_or_told(seatrial: Seatrial, served: Shop, database: str) -> None:
    before = whole(seatrial, served.name)
    assert (seatrial.home / database).is_file()
    with Traffic(seatrial, served.name) as traffic:
        release = UnderWay(seatrial, "release", served.file, "--strategy", "canary").wait_for("watch")
        with silent(seatrial.home / database):
            assert until(lambda: record(seatrial, served.name)["weights"].get(str(before)) == 100)
            # The note stands until the route is written once more, where somebody can be told.
            noted = record(seatrial, served.name).get("retreat", {}).get("reason", "")
            traffic.answers.clear()
            assert until(lambda: traffic.answers[str(before)] >= 20)
            assert set(traffic.answers) <= {str(before)}
        assert release.end() in {4, 5}, release.said
        assert "latency" in noted + release.said
        assert until(lambda: not seatrial.told("status")["rollouts"])
    assert traffic.failures == []
    assert whole(seatrial, served.name) == before
