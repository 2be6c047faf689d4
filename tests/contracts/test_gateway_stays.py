"""A gateway that serves is never started anew, whatever its clients do: real supervisord, real Envoy."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from deployments.clock import ManualClock
from deployments.errors import PlatformUnreachable
from deployments.local_platform.addresses import read_addresses
from deployments.local_platform.gateway import ensure_gateway, is_up
from deployments.local_platform.services import GATEWAY
from deployments.settings import Settings
from deployments.supervision import Supervisor
from tests.contracts.routers.gateway import eventually
from tests.ports import free_port

MOST_CONNECTIONS = 5000


@dataclass(frozen=True)
class Home:
    """A home with a gateway that is up."""

    settings: Settings
    supervisor: Supervisor

    @property
    def pid(self) -> int:
        pid = self.supervisor.reports()[GATEWAY].pid
        assert pid is not None
        return pid

    @property
    def url(self) -> str:
        return f"{read_addresses(self.settings).url('gateway')}/seatrial/health"

    def ensure(self) -> None:
        """As it is done before each release, and whenever a part does not answer; no silence lasts."""
        ensure_gateway(self.settings, Hasty())


class Hasty(ManualClock):
    """Every wait is over at once, and has lasted long."""

    def sleep(self, duration: timedelta) -> None:
        super().sleep(max(duration, timedelta(seconds=10)))


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="stg-", dir="/tmp"))
    settings = Settings(home=folder / "home", project=folder, gateway_port=free_port())
    supervisor = ensure_gateway(settings)
    yield Home(settings, supervisor)
    supervisor.shutdown(forget=(GATEWAY,))
    shutil.rmtree(folder)


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * MOST_CONNECTIONS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def served(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    return False


def test_a_client_that_holds_every_connection_does_not_make_it_start_anew(home: Home, many_files: None) -> None:
    before = home.pid
    address = ("127.0.0.1", int(home.url.split(":")[2].split("/")[0]))
    with contextlib.ExitStack() as held:
        for number in range(MOST_CONNECTIONS + 50):
            source = (f"127.0.1.{number % 200 + 1}", 0)  # of one address it takes fewer
            held.enter_context(contextlib.closing(socket.create_connection(address, 5, source_address=source)))
        eventually(lambda: not served(home.url))
        assert is_up(home.settings, home.supervisor)
        home.ensure()
        assert home.pid == before
    eventually(lambda: served(home.url))
    assert home.pid == before


def test_one_that_is_silent_for_a_while_goes_on(home: Home) -> None:
    before = home.pid
    os.kill(before, signal.SIGSTOP)

    class Waking(ManualClock):
        """Somebody wakes it up when it has been waited for a little."""

        def monotonic(self) -> float:
            if super().monotonic() > 0:
                os.kill(before, signal.SIGCONT)
            return super().monotonic()

    ensure_gateway(home.settings, Waking())
    assert home.pid == before


def test_one_whose_admin_socket_is_gone_serves_on_and_that_is_said(home: Home) -> None:
    before = home.pid
    (home.settings.run_folder / "envoy.sock").unlink()
    with pytest.raises(PlatformUnreachable, match=r"serves its users.*takes no orders.*`seatrial down`"):
        home.ensure()
    assert home.pid == before
    assert served(home.url)


def test_one_whose_address_somebody_removed_serves_on_at_it(home: Home) -> None:
    before, url = home.pid, home.url
    (home.settings.home / "platform.json").unlink()
    home.ensure()
    assert (home.pid, home.url) == (before, url)


@pytest.mark.crash
def test_one_that_neither_answers_nor_serves_is_started_anew(home: Home) -> None:
    before = home.pid
    os.kill(before, signal.SIGSTOP)
    home.ensure()
    assert home.pid != before
    assert served(home.url)


def test_one_that_died_is_there_again(home: Home) -> None:
    before = home.pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not served(home.url) or home.pid != before)
    ensure_gateway(home.settings)
    assert served(home.url)
