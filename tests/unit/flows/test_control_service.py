"""The control service: 202 means that it is on the disk, and whatever is wrong is told in one answer."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.clock import SystemClock
from deployments.errors import BadInput
from deployments.inference_log_reader import Log
from deployments.journals.database import DatabaseJournal
from deployments.key_files import key
from deployments.local_platform.services import control_socket
from deployments.metrics.feedback.admission import Kept
from deployments.metrics.feedback.pending_by_user import KeyedFeedback
from deployments.metrics.feedback.store import Feedback, FeedbackLedger
from deployments.process_identity import this_process
from deployments.request_ids import KEY_NAME
from deployments.rollout.state import Phase, RolloutState
from deployments.serving.inference_log.arrow_table import Tables
from deployments.serving.inference_log.part_store import Parts, store_of
from deployments.settings import Settings
from deployments.spec import AnalysisSection, FeedbackSection, MetricRule, RolloutSection
from deployments.supervision import UnixConnection
from flows.entrypoints.control_service.main import Keeper, Settler, key_of
from tests.feedback_door import sealed
from tests.ports import free_port
from tests.unit.deployments.serving.inference_log.answered import logged
from tests.unit.deployments.serving.inference_log.test_arrow_table import FLIGHTS

ROOT = Path(__file__).parents[3]
GOOD = {"product": "shop", "version": 3, "metric": "clicks", "value": 1.5}


def test_what_goes_wrong_with_one_products_log_is_said_once_and_keeps_no_other_waiting(
    ledger: FeedbackLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ledger.store([KeyedFeedback(name, "ann", "clicks", 1.0, noon, noon) for name in ("a", "shop")])

    def log_of(product: str) -> Log:
        if product == "a":
            raise OSError("the store of hunter2 is away")
        return Log(str(tmp_path / "log"), timedelta(seconds=1))

    parts = Parts(store_of(str(tmp_path / "log")), "shop", "3", "e")
    tables = Tables(FLIGHTS)
    for day, block in tables.blocks([logged("a-1", key=b"ann", answered=-60.0)], noon.timestamp()):
        parts.write(day, tables.table([block]))
    settler = Settler(lambda: ledger, log_of, SystemClock())
    for _ in range(3):
        settler.look()
    assert ledger.latest("shop", "clicks", ["a-1"]) == {"a-1": 1.0}
    assert capsys.readouterr().out.splitlines() == ["feedback by key waits for a: OSError"]


def test_what_is_too_old_is_summed_up_and_the_sums_stay_what_they_are(ledger: FeedbackLedger) -> None:
    now, rule = datetime.now(UTC), MetricRule(metric="feedback.clicks", margin=0.1, range=(0.0, 2.0))
    section = RolloutSection(analysis=AnalysisSection(metrics=(rule,)))
    long_ago = now - timedelta(days=99)
    ledger.store([Feedback("shop", 3, f"old-{n}", "clicks", float(n), long_ago, long_ago, f"u{n}") for n in range(5)])
    ledger.store([Feedback("shop", 3, "old-label", "label", "yes", long_ago)])
    ledger.store([Feedback("shop", 3, f"new-{n}", "clicks", float(n), now) for n in range(5)])
    before, kept = ledger.sums("shop", section.analysis.ranges), Kept(100)
    keeper = Keeper(lambda: ledger, kept, lambda _: section, SystemClock(), timedelta(days=90))
    for _ in range(2):
        keeper.look(folds=True)
        assert ledger.sums("shop", section.analysis.ranges) == before
        assert kept.numbers == {"shop": {"clicks": 5}}
    assert ledger.labels("shop", ["old-label"]) == {}


def test_the_key_of_a_product_is_what_its_spec_names_or_a_file_that_somebody_put_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, plain = key_of(settings), RolloutSection()
    assert wanted("shop", plain) is None
    settings.keys_folder.mkdir(mode=0o700, parents=True)
    (settings.keys_folder / "feedback-shop").touch(0o600)
    (settings.keys_folder / "feedback-shop").write_text("hunter2\n")
    assert (wanted("shop", plain), wanted("other", plain)) == (b"hunter2", None)
    named = RolloutSection(feedback=FeedbackSection(key_env="SHOP_KEY"))
    with pytest.raises(BadInput, match="SHOP_KEY is not set"):
        wanted("shop", named)
    monkeypatch.setenv("SHOP_KEY", "hunter3")
    assert wanted("shop", named) == b"hunter3"


HEAVY = {"prefect", "mlflow", "sklearn", "pandas", "numpy", "great_expectations", "skops", "pyarrow"}
HEAVY |= {"cloudevents", "standardwebhooks"}  # only who has subscriptions or webhooks needs them


def test_the_service_stays_light() -> None:
    program = f"import sys, flows.entrypoints.control_service.main; print(sorted({HEAVY} & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


@pytest.fixture
def settings() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="c-", dir="/tmp"))
    yield Settings(home=folder)
    shutil.rmtree(folder)


def started(settings: Settings) -> subprocess.Popen[bytes]:
    """The program, once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.entrypoints.control_service.main"],
        cwd=ROOT,
        env=os.environ | {"SEATRIAL_HOME": str(settings.home)},
    )
    for _ in range(600):
        with contextlib.closing(UnixConnection(control_socket(settings), 5)) as connection:
            try:
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
                return process
            except OSError:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.05)
    process.kill()
    raise AssertionError("it does not answer")


def rolled_out(settings: Settings, product: str = "shop") -> None:
    """The journal knows the product; a server drew the key of request ids."""
    now = datetime.now(UTC)
    done = RolloutState("r", product, 3, None, "rolling", RolloutSection(), (), 0, Phase.DONE, "", now, now, now)
    with contextlib.closing(DatabaseJournal(settings.journal_address)) as journal:
        lease = journal.acquire(product, this_process(), now, timedelta(minutes=1))
        journal.save(done, lease)
        journal.release(lease)


def good(settings: Settings) -> dict[str, Any]:
    """Feedback on an answer that a server of this home gave."""
    return GOOD | {"request_id": sealed("a-1", secret=key(settings.keys_folder, KEY_NAME))}


def pushed(settings: Settings, item: dict[str, Any]) -> int:
    """The HTTP code for it."""
    with contextlib.closing(UnixConnection(control_socket(settings), 10)) as connection:
        headers = {"content-type": "application/json"}
        connection.request("POST", "/seatrial/feedback", json.dumps(item).encode(), headers)
        return connection.getresponse().status


def test_what_was_accepted_survives_kill_9_and_the_service_comes_back_to_the_same_socket(settings: Settings) -> None:
    rolled_out(settings)
    first = started(settings)
    try:
        assert pushed(settings, good(settings)) == 202
        assert pushed(settings, good(settings) | {"request_id": "invented"}) == 422
        assert pushed(settings, good(settings) | {"product": "invented"}) == 404
    finally:
        first.kill()
        first.wait()
    with contextlib.closing(sqlite3.connect(settings.home / "journal-feedback.db")) as database:
        assert database.execute("SELECT product, version, value FROM feedback").fetchall() == [("shop", 3, 1.5)]
    second = started(settings)
    try:
        assert pushed(settings, good(settings)) == 202
    finally:
        second.terminate()
    assert second.wait(60) == 0
    assert not control_socket(settings).exists()


def test_with_a_port_it_listens_there_and_makes_no_socket(settings: Settings) -> None:
    rolled_out(settings)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.entrypoints.control_service.main", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {"SEATRIAL_HOME": str(settings.home)},
    )
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8), trust_env=False) as client:
            answer = client.post(f"http://127.0.0.1:{port}/seatrial/feedback", json=good(settings))
        assert answer.status_code == 202
        assert not control_socket(settings).exists()
    finally:
        process.terminate()
    assert process.wait(60) == 0
