"""What every database of Seatrial keeps: durability, one writer, messages that name the next step and no secret."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from deployments.database import Database
from deployments.errors import BadInput, DiskFull, PlatformUnreachable

SCHEMA = MetaData()
NUMBERS = Table("numbers", SCHEMA, Column("number", Integer, primary_key=True))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some" / "folder" / "numbers.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}", SCHEMA, "the list of numbers", "SEATRIAL_NUMBERS_URL")
    yield database
    database.close()


def add(database: Database, *numbers: int) -> None:
    with database.transaction() as connection:
        connection.execute(insert(NUMBERS), [{"number": number} for number in numbers])


def count(database: Database) -> int:
    with database.transaction(writes=False) as connection:
        return connection.execute(select(func.count()).select_from(NUMBERS)).scalar_one()


def test_all_of_a_transaction_is_kept_or_nothing(database: Database) -> None:
    add(database, 1, 2)
    with pytest.raises(IntegrityError):
        add(database, 3, 1)
    assert count(database) == 2


def test_every_commit_is_forced_to_the_disk(database: Database) -> None:
    with database.transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2


def test_opening_what_is_complete_writes_nothing(database: Database, file: Path) -> None:
    add(database, 1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # a write would now wait for 30 s
        again = Database(f"sqlite:///{file}", SCHEMA, "the list of numbers")
        assert count(again) == 1
        again.close()


def test_a_full_disk_is_named_and_what_was_there_can_be_read(database: Database) -> None:
    add(database, 1)
    with database.transaction() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")
    with pytest.raises(DiskFull, match=r"while writing the list of numbers sqlite:///.*numbers\.db: free some room"):
        add(database, *range(2, 20_000))
    assert count(database) == 1


def test_a_database_that_cannot_be_opened_is_named_with_the_setting_to_change(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(PlatformUnreachable, match=r"the list of numbers .*numbers\.db.*SEATRIAL_NUMBERS_URL"):
        Database(f"sqlite:///{file}", SCHEMA, "the list of numbers", "SEATRIAL_NUMBERS_URL")


@pytest.mark.parametrize("damaged_from", [0, 4096])
def test_a_file_that_is_damaged_is_named_with_the_setting_to_change(file: Path, damaged_from: int) -> None:
    database = Database(f"sqlite:///{file}", SCHEMA, "the list of numbers", "SEATRIAL_NUMBERS_URL")
    add(database, 1)
    database.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:damaged_from] + b"\x7f" * (len(whole) - damaged_from))
    refused = pytest.raises(PlatformUnreachable, match=r"the list .*(not a database|malformed).*SEATRIAL_NUMBERS")
    with refused, closing(Database(f"sqlite:///{file}", SCHEMA, "the list", "SEATRIAL_NUMBERS_URL")) as again:
        count(again)


def test_nothing_of_a_database_that_cannot_be_used_stays_open(file: Path) -> None:
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as other:
        other.executescript("CREATE TABLE others (one); CREATE INDEX numbers ON others (one)")
    with pytest.raises(PlatformUnreachable, match="already an index named numbers"):
        Database(f"sqlite:///{file}", SCHEMA, "the list of numbers")
    assert str(file) not in {each.path for each in psutil.Process().open_files()}


def test_a_folder_that_cannot_be_made_is_named_with_the_settings_to_change(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(BadInput, match=r"kept in .*home \(.+\): set SEATRIAL_HOME or SEATRIAL_JOURNAL_URL to another"):
        Database(f"sqlite:///{tmp_path}/home/numbers.db", SCHEMA, "the list of numbers")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://ann:hunter2@127.0.0.1:9/numbers", "SEATRIAL_JOURNAL_URL needs the driver MySQLdb: install it"),
        ("nonsense-hunter2", "SEATRIAL_JOURNAL_URL holds no database URL"),
        ("no-such-kind://ann:hunter2@host/numbers", "SEATRIAL_JOURNAL_URL holds no database URL"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_to_do_without_its_password(url: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        Database(url, SCHEMA, "the list of numbers")
    assert "hunter2" not in str(caught.value)
