"""What belongs to one account: folders that are not links, not somebody else's, and open to nobody else."""

import os
import pwd
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from deployments import account_isolation
from deployments.account_isolation import (
    changeable_by_others,
    close_to_others,
    exposed_files,
    is_same_account,
    private_folder,
)
from deployments.errors import BadInput
from deployments.settings import Settings
from deployments.supervision.unix_http import UnixConnection

LONG = "a-folder-with-a-very-long-name-so-that-no-socket-finds-room-in-it"
as_root = pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Everybody's folder for temporary files, whose name is short."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        yield folder


@pytest.mark.parametrize("before", [0o755, 0o777, 0o711, 0o750])
def test_a_home_that_was_there_before_becomes_its_owners_alone(tmp_path: Path, before: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(before)
    (home / "journal.db").write_bytes(b"kept")
    assert mode(Settings(home=home).run_folder) == 0o700
    assert mode(home) == 0o700
    assert (home / "journal.db").read_bytes() == b"kept"


@as_root
def test_a_home_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    os.chown(home, 65534, 65534)
    with pytest.raises(BadInput, match=r"home belongs to nobody, not to root: set SEATRIAL_HOME to another place"):
        _ = Settings(home=home).run_folder
    assert mode(home) == 0o755
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("place", ["/", "/tmp", "/var", "/var/tmp", "/etc", "/usr", "/home", "/dev"])  # noqa: S108
def test_a_place_that_others_need_is_no_home_and_is_left_as_it_is(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir="/home/ann", pw_name="ann"))
    monkeypatch.setattr(Path, "chmod", lambda *_: pytest.fail("it is closed to others"))
    with pytest.raises(BadInput, match="is needed by others, to whom a home is closed: set SEATRIAL_HOME"):
        Settings(home=Path(place)).private_home()


def test_the_folder_of_an_account_may_be_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(tmp_path), pw_name="seatrial"))
    assert Settings(home=tmp_path).private_home() == tmp_path


def test_a_home_behind_a_link_of_ones_own_is_fine(temporary: Path) -> None:
    (temporary / "disk").mkdir()
    (temporary / "home").symlink_to(temporary / "disk")
    assert Settings(home=temporary / "home").run_folder == temporary / "disk" / "run"


def test_a_folder_that_is_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="run is a link, and must be a folder: remove it"):
        private_folder(tmp_path / "run", "remove it")


def test_the_folder_of_a_long_home_is_found_by_every_process_whatever_its_environment_says(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / LONG)
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: settings.run_folder, range(32)))
    assert len(found) == 1
    [folder] = found
    assert (folder.parent, mode(folder)) == (temporary, 0o700)
    assert list(temporary.iterdir()) == [folder]
    other = tmp_path / "r"
    other.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(other))
    assert settings.run_folder == folder


def test_a_folder_that_somebody_put_there_first_is_not_used(tmp_path: Path, temporary: Path) -> None:
    settings = Settings(home=tmp_path / LONG)
    name = settings.run_folder.name.rpartition("-")[0]
    settings.run_folder.rmdir()
    (tmp_path / "trap").mkdir(mode=0o700)
    (temporary / name).symlink_to(tmp_path / "trap")  # as another account may, who then leads it elsewhere
    assert settings.run_folder not in {temporary / name, tmp_path / "trap"}
    assert not settings.run_folder.is_symlink()


def test_a_folder_that_is_gone_after_a_start_of_the_machine_is_made_anew(tmp_path: Path, temporary: Path) -> None:
    settings = Settings(home=tmp_path / LONG)
    settings.run_folder.rmdir()
    assert mode(settings.run_folder) == 0o700


def test_a_copy_of_a_home_has_a_folder_of_its_own(tmp_path: Path, temporary: Path) -> None:
    settings = Settings(home=tmp_path / LONG)
    copy = Settings(home=tmp_path / f"{LONG}-copy")
    copy.private_home()
    (copy.home / "run").symlink_to(settings.run_folder)
    assert copy.run_folder != settings.run_folder


def test_the_runtime_folder_of_the_session_is_used_if_it_outlives_it(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = temporary / "r"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert Settings(home=tmp_path / LONG).run_folder.parent == runtime
    monkeypatch.setattr(account_isolation, "_UNTIL_LOGOUT", temporary)
    assert Settings(home=tmp_path / f"{LONG}-2").run_folder.parent == temporary
    runtime.chmod(0o755)
    monkeypatch.setattr(account_isolation, "_UNTIL_LOGOUT", tmp_path)
    assert Settings(home=tmp_path / f"{LONG}-3").run_folder.parent == temporary


def test_both_ends_of_a_socket_know_the_account_of_the_other() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert is_same_account(one)
        assert is_same_account(other)


@as_root
def test_a_listener_of_another_account_gets_no_word() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as name:
        Path(name).chmod(0o777)
        place = Path(name) / "s"
        script = (
            "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
            "s.listen(); print(flush=True); print(s.accept()[0].recv(100))"
        )
        command = [sys.executable, "-I", "-c", script, str(place)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
            assert listener.stdout is not None
            listener.stdout.readline()
            with pytest.raises(PermissionError, match="another account listens"):
                UnixConnection(place, timeout=20).request("GET", "/secret")
            assert listener.stdout.readline() == "b''\n"


def test_what_others_may_reach_is_found_and_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "snapshots").mkdir(parents=True)
    (home / "snapshots" / "a.parquet").touch(mode=0o444)
    (home / "journal.db").touch()
    (home / "journal.db").chmod(0o644)
    (home / "link").symlink_to("/etc/passwd")
    home.chmod(0o755)
    (home / "snapshots").chmod(0o700)
    (home / "snapshots" / "a.parquet").chmod(0o444)
    found = list(exposed_files(home))
    assert [str(each.path.relative_to(tmp_path)) for each in found] == [
        "home",
        "home/journal.db",
        "home/snapshots/a.parquet",
    ]
    for each in found:
        close_to_others(each)
    assert list(exposed_files(home)) == []
    assert (mode(home / "snapshots" / "a.parquet"), mode(home / "journal.db")) == (0o400, 0o600)
    assert list(exposed_files(tmp_path / "nowhere")) == []


def test_what_became_a_link_meanwhile_leads_to_no_change_elsewhere(tmp_path: Path) -> None:
    theirs, home = tmp_path / "page", tmp_path / "home"
    theirs.write_text("for everybody")
    theirs.chmod(0o644)
    home.mkdir()
    (home / "journal.db").write_text("")
    (home / "journal.db").chmod(0o644)
    found = [each for each in exposed_files(home) if each.path.name == "journal.db"]
    (home / "journal.db").unlink()
    (home / "journal.db").symlink_to(theirs)
    for each in found:
        close_to_others(each)
    assert mode(theirs) == 0o644


@as_root
def test_what_is_somebody_elses_is_not_said_to_be_closed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("")
    os.chown(tmp_path / "theirs", 65534, 65534)
    (found,) = [each for each in exposed_files(tmp_path) if each.path.name == "theirs"]
    with pytest.raises(PermissionError):
        close_to_others(found)


def test_a_folder_above_that_everybody_may_change_is_named(tmp_path: Path) -> None:
    (tmp_path / "open" / "home").mkdir(parents=True)
    before = changeable_by_others(tmp_path / "open")
    (tmp_path / "open").chmod(0o777)
    assert changeable_by_others(tmp_path / "open" / "home") == tmp_path / "open"
    (tmp_path / "open").chmod(0o1777)
    assert changeable_by_others(tmp_path / "open" / "home") == before
