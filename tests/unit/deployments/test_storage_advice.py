"""What is advised about disks, databases and locks is tried."""

import contextlib
import errno
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from deployments.atomic_files import disk_full_errors, write_atomically
from deployments.clock import ManualClock
from deployments.database import Database
from deployments.errors import (
    BadInput,
    DiskFull,
    PlatformUnreachable,
    RouterUnreachable,
)
from deployments.journals.journal_url import open_journal
from deployments.routers.envoy.config_files import EnvoyFiles, sole_writer
from tests.advice import followed
from tests.fakes.kubernetes import FakeKubernetes


def test_room_on_the_disk_lets_the_same_command_through(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(DiskFull) as error, disk_full_errors(file):
        raise OSError(errno.ENOSPC, "no room")
    assert followed("no space left while writing ", "deployments/atomic_files.py") in str(error.value)
    with disk_full_errors(file):
        write_atomically(file, b"whole")
    assert file.read_bytes() == b"whole"


def test_a_database_that_has_no_room_takes_it_once_there_is(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", MetaData(), "the journal")
    with pytest.raises(DiskFull) as error, database.transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.exec_driver_sql("CREATE TABLE a AS SELECT zeroblob(1000000)")
    assert followed("free some room and run the same command again", "deployments/database.py") in str(error.value)
    with database.transaction() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=100000")
        connection.exec_driver_sql("CREATE TABLE a AS SELECT zeroblob(1000000)")
    database.close()


def test_a_database_that_is_locked_answers_where_the_disk_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(PlatformUnreachable) as error:
        Database(f"sqlite:///{tmp_path / 'a.db'}", MetaData(), "the journal")
    assert followed("check the disk or ") in str(error.value)
    (tmp_path / "a.db").rename(tmp_path / "damaged.db")
    Database(f"sqlite:///{tmp_path / 'a.db'}", MetaData(), "the journal").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_where_no_folder_can_be_is_put_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput) as error:
        Database(f"sqlite:///{tmp_path}/file/a.db", MetaData(), "the journal")
    assert followed("no database can be kept in ") in str(error.value)
    Database(f"sqlite:///{tmp_path}/folder/a.db", MetaData(), "the journal").close()


def test_a_lock_of_the_gateway_is_free_once_its_holder_is(tmp_path: Path) -> None:
    files = EnvoyFiles(tmp_path, tmp_path)
    with sole_writer(files, ManualClock(), timedelta(hours=1)):
        with pytest.raises(RouterUnreachable) as error, sole_writer(files, ManualClock(), timedelta(seconds=1)):
            pass
        assert followed("see what that waits for, then try again") in str(error.value)
    with sole_writer(files, ManualClock(), timedelta(seconds=1)):
        pass


def test_a_journal_in_a_cluster_is_opened_by_its_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeKubernetes(controllers=False) as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "config")))
        with pytest.raises(BadInput) as error:
            open_journal("kubernetes://a/b")
        assert followed("the address of the journal names no namespace: write kubernetes://NAMESPACE") in str(
            error.value
        )
        assert open_journal("kubernetes://default").under_way() == ()
