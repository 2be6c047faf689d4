import itertools
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.analysis.counter_deltas import Reading, Source
from deployments.analysis.evidence import Counts, Sums
from deployments.errors import BadInput, DiskFull, PlatformUnreachable
from deployments.metrics.feedback.store import Feedback, FeedbackLedger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[4]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def value(request_id: str, value: float, version: int = 1, metric: str = "clicks", product: str = "shop") -> Feedback:
    return Feedback(product, version, request_id, metric, value)


def label(request_id: str, text: str, product: str = "shop") -> Feedback:
    return Feedback(product, 1, request_id, "label", text)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[FeedbackLedger]:
    ledger = FeedbackLedger(url)
    yield ledger
    ledger.close()


def test_values_are_summed_up_by_version_and_metric(ledger: FeedbackLedger) -> None:
    stored = ledger.store(
        [value("a", 1.0), value("b", 3.0), value("a", 10.0, metric="revenue"), value("c", 5.0, version=2)]
    )
    assert stored == 4
    assert ledger.sums("shop") == {
        1: {"clicks": Sums(2, 4.0, 10.0), "revenue": Sums(1, 10.0, 100.0)},
        2: {"clicks": Sums(1, 5.0, 25.0)},
    }
    assert ledger.sums("another") == {}
    assert ledger.counts("shop")[Source(2, "feedback")] == Counts(feedback={"clicks": Sums(1, 5.0, 25.0)})


def test_storing_the_same_again_changes_nothing(ledger: FeedbackLedger) -> None:
    items = [value("a", 1.0), value("b", 3.0), label("a", "yes")]
    for _ in range(3):
        assert ledger.store(items) == 3
    assert ledger.sums("shop") == {1: {"clicks": Sums(2, 4.0, 10.0)}}


def test_a_label_is_corrected_and_a_value_stands_as_it_first_came(ledger: FeedbackLedger) -> None:
    ledger.store([value("a", 1.0), label("a", "yes")])
    assert ledger.store([value("a", 2.0), value("a", 3.0, version=2), label("a", "maybe"), label("a", "no")]) == 2
    assert ledger.store([value("b", 5.0), value("b", 6.0)]) == 1
    assert ledger.sums("shop") == {1: {"clicks": Sums(2, 6.0, 26.0)}}
    assert ledger.labels("shop", ["a"]) == {"a": "no"}


def test_values_that_change_later_do_not_make_a_new_version_look_worse(ledger: FeedbackLedger) -> None:
    """The champion's values would have been changed already, and the candidate's not yet."""
    ledger.store([value(f"old-{number}", 0.0) for number in range(100)])
    before = Reading(NOON, ledger.counts("shop"))
    ledger.store([value(f"old-{number}", 1.0) for number in range(100)])
    ledger.store([value(f"new-{version}-{number}", 0.0, version) for version in (1, 2) for number in range(10)])
    seen = Reading(NOON, ledger.counts("shop")).since(before)
    assert {version: counts.feedback["clicks"].total for version, counts in seen.items()} == {1: 0.0, 2: 0.0}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_label_counts_in_whichever_order_they_come_together_or_alone(
    ledger: FeedbackLedger, order: tuple[int, ...]
) -> None:
    told = [
        replace(label("a", text), at=NOON + timedelta(hours=hour)) for hour, text in enumerate(("no", "yes", "no way"))
    ]
    for place in order:
        ledger.store([told[place]])
    assert ledger.labels("shop", ["a"]) == {"a": "no way"}
    ledger.store([replace(told[place], request_id="b") for place in order])
    assert ledger.labels("shop", ["b"]) == {"b": "no way"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_value_stands_beside_the_first_that_rollouts_are_judged_by(
    ledger: FeedbackLedger, order: tuple[int, ...]
) -> None:
    told = [replace(value("a", hour), at=NOON + timedelta(hours=hour)) for hour in range(3)]
    for place in order:
        ledger.store([told[place]])
    assert ledger.latest("shop", "clicks", ["a", "b"]) == {"a": 2.0}
    assert ledger.sums("shop")[1]["clicks"].total == told[order[0]].value
    ledger.store([replace(told[place], request_id="b") for place in order])
    assert ledger.latest("shop", "clicks", ["b"]) == {"b": 2.0}


def test_of_two_that_say_no_time_or_the_same_the_last_one_counts(ledger: FeedbackLedger) -> None:
    ledger.store([label("a", "yes"), label("b", "yes")])
    ledger.store([label("a", "no")])
    for text in ("yes", "no"):
        ledger.store([replace(label("b", text), at=NOON)])
    assert ledger.labels("shop", ["a", "b"]) == {"a": "no", "b": "no"}
    assert ledger.latest("shop", "revenue", ["a"]) == {}


def test_a_ledger_of_an_earlier_release_is_carried_on(url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal-feedback.db")) as former, former:
        former.execute(
            "CREATE TABLE feedback (product VARCHAR(40), metric VARCHAR(64), request_id VARCHAR(128), version INTEGER "
            "NOT NULL, value FLOAT NOT NULL, PRIMARY KEY (product, metric, request_id))"
        )
        former.execute(
            "CREATE TABLE labels (product VARCHAR(40), request_id VARCHAR(128), version INTEGER NOT NULL, "
            "label VARCHAR(128) NOT NULL, PRIMARY KEY (product, request_id))"
        )
        former.execute("INSERT INTO feedback VALUES ('shop', 'clicks', 'a', 1, 3.0)")
        former.execute("INSERT INTO labels VALUES ('shop', 'a', 1, 'yes')")
    with closing(FeedbackLedger(url)) as ledger:
        assert ledger.latest("shop", "clicks", ["a"]) == {"a": 3.0}
        ledger.store([replace(value("a", 4.0), at=NOON), replace(label("a", "no"), at=NOON)])
        assert ledger.latest("shop", "clicks", ["a"]) == {"a": 4.0}
        assert ledger.labels("shop", ["a"]) == {"a": "no"}
        assert ledger.sums("shop") == {1: {"clicks": Sums(1, 3.0, 9.0)}}


def test_labels_are_found_by_request_and_never_summed_up(ledger: FeedbackLedger) -> None:
    ledger.store([label("a", "yes"), label("b", "1"), label("a", "no", product="another")])
    assert ledger.labels("shop", ["a", "b", "c"]) == {"a": "yes", "b": "1"}
    assert ledger.labels("another", ["a"]) == {"a": "no"}
    assert ledger.labels("shop", []) == {}
    assert ledger.sums("shop") == {}


def test_thousands_of_labels_are_asked_for_at_once(ledger: FeedbackLedger) -> None:
    names = [f"id-{number}" for number in range(2_345)]
    ledger.store([label(name, "yes") for name in names])
    assert ledger.labels("shop", names) == dict.fromkeys(names, "yes")


def test_nothing_to_store_is_stored(ledger: FeedbackLedger) -> None:
    assert ledger.store([]) == 0


def test_it_is_beside_the_journal_so_that_neither_waits_for_the_other(ledger: FeedbackLedger, tmp_path: Path) -> None:
    assert (tmp_path / "journal-feedback.db").exists()
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as journal:
        journal.execute("BEGIN IMMEDIATE")
        assert ledger.store([value("a", 1.0)]) == 1


def test_two_ledgers_of_one_database_lose_nothing(url: str, ledger: FeedbackLedger) -> None:
    other = FeedbackLedger(url)
    for number in range(20):
        (ledger, other)[number % 2].store([value(f"id-{number // 2}", 1.0)])
    assert ledger.sums("shop") == other.sums("shop") == {1: {"clicks": Sums(10, 10.0, 10.0)}}
    other.close()


def test_what_was_stored_survives_kill_9(url: str) -> None:
    program = (
        "import sys, os, signal\n"
        "from deployments.metrics.feedback.store import Feedback, FeedbackLedger\n"
        "ledger = FeedbackLedger(sys.argv[1])\n"
        "ledger.store([Feedback('shop', 1, f'id-{n}', 'clicks', 1.0) for n in range(1000)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, url], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    after = FeedbackLedger(url)
    assert after.sums("shop") == {1: {"clicks": Sums(1000, 1000.0, 1000.0)}}
    after.close()


def test_a_write_that_is_cut_short_leaves_what_was_there(ledger: FeedbackLedger) -> None:
    ledger.store([label("a", "yes")])
    with ledger._database.transaction() as connection:
        connection.exec_driver_sql("CREATE TRIGGER no BEFORE INSERT ON feedback BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(PlatformUnreachable):
        ledger.store([label("a", "no"), value("a", 2.0)])
    assert ledger.labels("shop", ["a"]) == {"a": "yes"}
    assert ledger.sums("shop") == {}


def test_a_full_disk_is_told_and_what_was_there_can_still_be_read(ledger: FeedbackLedger) -> None:
    ledger.store([value("a", 1.0)])
    with ledger._database.transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DiskFull, match=r"no space left while writing the feedback ledger.*journal-feedback\.db"):
        ledger.store([value(f"id-{number}", 1.0) for number in range(10_000)])
    assert ledger.sums("shop") == {1: {"clicks": Sums(1, 1.0, 1.0)}}


def test_an_address_that_cannot_be_used_is_told_without_its_password() -> None:
    with pytest.raises(BadInput, match="needs the driver") as caught:
        FeedbackLedger("mysql://ann:hunter2@127.0.0.1:9/journal")
    assert "hunter2" not in str(caught.value)
