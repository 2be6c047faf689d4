"""While the platform starts, products are told as they come; who does not come holds nobody up."""

import socket
import threading
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.local_platform.startup_progress import ProductsUp
from deployments.settings import Settings


class Programs:
    """What supervisord would know: a server of each product."""

    def __init__(self, products: list[str]) -> None:
        self._names = tuple(f"model-{product}-v1-0" for product in products)

    def known(self) -> tuple[str, ...]:
        return ("gateway", *self._names)


class Server(threading.Thread):
    """Says that it is ready to whoever asks at its socket."""

    def __init__(self, settings: Settings, product: str) -> None:
        super().__init__(daemon=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(settings.run_folder / f"model-{product}-v1-0.sock"))
        self._listener.listen()
        self.asked = 0
        self.start()

    def run(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                with caller:
                    self.asked += 1
                    caller.recv(4096)
                    caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join()


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=Path(tmp_path_factory.mktemp("h")))


def test_products_are_told_by_name_as_they_come_and_those_that_do_not(settings: Settings) -> None:
    told: list[str] = []
    clock = ManualClock()
    products = ["bikes", "broken", "flights", "shop"]
    progress = ProductsUp(Programs(products), settings, told.append, clock)  # type: ignore[arg-type]
    with ExitStack() as stack:
        for product in ("shop", "bikes"):
            stack.callback(Server(settings, product).close)
        progress.look()
        stack.callback(Server(settings, "flights").close)
        clock.sleep(timedelta(seconds=1))
        progress.look()
        assert told == ["products      2 of 4 serve: bikes, shop"], "one line a while"
        clock.sleep(timedelta(seconds=1))
        progress.look()
        progress.end()
    assert told[1:] == ["products      3 of 4 serve: flights", "products      3 of 4 serve; to come: broken"]
    assert progress.missing == ("broken",)


def test_servers_that_start_are_not_asked_all_the_time(settings: Settings) -> None:
    clock, programs = ManualClock(), Programs(["shop"])
    asked = 0

    def known() -> tuple[str, ...]:
        nonlocal asked
        asked += 1
        return ()

    progress = ProductsUp(programs, settings, lambda _: None, clock)  # type: ignore[arg-type]
    programs.known = known  # type: ignore[method-assign]
    for _ in range(20):
        progress.look()
        clock.sleep(timedelta(seconds=0.1))
    assert asked == 4


def test_many_are_not_all_named(settings: Settings) -> None:
    told: list[str] = []
    progress = ProductsUp(Programs([f"shop-{n}" for n in range(9)]), settings, told.append, ManualClock())  # type: ignore[arg-type]
    progress.end()
    assert told == ["products      0 of 9 serve; to come: shop-0, shop-1, shop-2, shop-3, shop-4 and 4 more"]
