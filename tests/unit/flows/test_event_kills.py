"""The control service is killed between an event and the mark that it has arrived: it comes again, with the same id."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from deployments.event_delivery.outbox import Outbox
from deployments.event_delivery.subscriptions import Subscription, Subscriptions, new_subscription
from deployments.journals.database import DatabaseJournal
from deployments.settings import Settings
from tests.ports import free_port
from tests.unit.deployments.event_delivery.a_line import refused
from tests.unit.deployments.event_delivery.a_receiver import Heard, plain, receiver
from tests.unit.flows.event_victim import POINTS

_PATIENCE = 90.0
CASES = [pytest.param(point, marks=() if point == "sent" else pytest.mark.crash) for point in POINTS]


@contextmanager
def service(settings: Settings, point: str) -> Iterator[subprocess.Popen[bytes]]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
    told = {"SEATRIAL_HOME": str(settings.home), "SEATRIAL_PROJECT": str(settings.project)}
    command = [sys.executable, "-m", "tests.unit.flows.event_victim", point, "--port", str(free_port())]
    with (settings.project / "log").open("ab") as log:
        process = subprocess.Popen(command, env=own | told, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def came(heard: Heard, number: int) -> list[str]:
    end = time.monotonic() + _PATIENCE
    while len({headers["webhook-id"] for headers, _ in heard.requests}) < number:
        assert time.monotonic() < end
        time.sleep(0.05)
    return [headers["webhook-id"] for headers, _ in heard.requests]


@pytest.mark.parametrize("point", CASES)
def test_whoever_dies_between_sending_and_marking_sends_again_under_the_same_id(tmp_path: Path, point: str) -> None:
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    settings.private_home()
    with receiver(plain("200 OK")) as heard, closing(DatabaseJournal(settings.journal_address)) as journal:
        subscription = new_subscription(heard.url)
        Subscriptions(settings.keys_folder).keep(subscription)
        _begin(settings, journal, subscription)
        for number in range(3):
            journal.record(refused(reason=str(number)))
        with service(settings, point) as process:
            assert process.wait(_PATIENCE) == -9
        before = len(heard.requests)
        with service(settings, "none"):
            ids = came(heard, 3)
            _until_empty(settings, subscription)
        again = [headers["webhook-id"] for headers, _ in heard.requests]
    assert len(ids) - len(set(ids)) <= 1
    assert len(set(again)) == 3
    if point == "sent":
        assert before == 1
        assert again[0] == again[1]
    assert list(dict.fromkeys(again)) == _in_order(heard)
    assert subscription.secret not in (tmp_path / "log").read_text()


def _in_order(heard: Heard) -> list[str]:
    """The ids by what was journalled when."""
    found = sorted((str(body), headers["webhook-id"]) for headers, body in heard.requests)
    by_reason = {body.partition('"reason": "')[2][:1]: name for body, name in found}
    return [by_reason[each] for each in sorted(by_reason)]


def _begin(settings: Settings, journal: DatabaseJournal, subscription: Subscription) -> None:
    """As `seatrial events subscriptions add` does: from here on."""
    from deployments.clock import SystemClock
    from deployments.event_delivery.collector import collect

    with closing(Outbox(settings.feedback_database)) as outbox:
        collect(journal, outbox, [subscription], SystemClock())


def _until_empty(settings: Settings, subscription: Subscription) -> None:
    end = time.monotonic() + _PATIENCE
    with closing(Outbox(settings.feedback_database)) as outbox:
        while subscription.id in outbox.counts():
            assert time.monotonic() < end
            time.sleep(0.05)
