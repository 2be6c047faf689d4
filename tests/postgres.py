"""A PostgreSQL server for tests, where there is one to be had: its programs, and a user that it agrees to run as."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PLACES = (*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/pgsql").glob("*/bin"))


@dataclass(frozen=True)
class Postgres:
    """One that runs, on loopback."""

    port: int
    server: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where its first database is."""
        return f"postgresql+psycopg2://tester@127.0.0.1:{self.port}/postgres"

    def stop_all(self) -> None:
        """Every process of it stands still, as on a machine that is frozen."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The reverse."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        import psutil

        server = psutil.Process(self.server.pid)
        for each in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)


def programs() -> Path | None:
    """The folder of `postgres` and `initdb`; None where there are none."""
    named = shutil.which("initdb")
    places = (Path(named).resolve().parent, *_PLACES) if named else _PLACES
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with an empty database, in a folder that is gone afterwards."""
    bin_folder = programs()
    assert bin_folder is not None
    folder = Path(tempfile.mkdtemp(prefix="seatrial-postgres-"))
    owner = _owner()
    if owner is not None:
        shutil.chown(folder, owner)
    try:
        data = folder / "data"
        initdb = [bin_folder / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, user=owner)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = ["-c", "fsync=off", "-c", f"unix_socket_directories={folder}", "-c", "listen_addresses=127.0.0.1"]
        server = subprocess.Popen(
            [bin_folder / "postgres", "-D", data, "-p", str(port), *options],
            stderr=subprocess.DEVNULL,
            cwd=folder,
            user=owner,
        )
        found = Postgres(port, server)
        try:
            _await(port, server)
            yield found
        finally:
            found.go_on()
            server.send_signal(signal.SIGQUIT)
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> str | None:
    """PostgreSQL does not run as root; None: as who we are."""
    if os.geteuid():
        return None
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert server.poll() is None, "PostgreSQL ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline, "PostgreSQL does not come up"
        time.sleep(0.05)
