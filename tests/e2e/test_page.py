"""The page in a real browser, of a real platform with a real canary: it reads, lives, obeys, and axe finds nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import psutil
import pytest

from tests.chromium import Page, browser, chromium
from tests.e2e.conftest import SPEC, Seatrial, Shop, rows, until
from tests.page_browser import DESK, PHONE, axe, element, show, violations

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser() is None, reason="there is no Chromium: apt-get install chromium"),
]
SLOW = {"wait": "1h", "steps": [{"weight": 50, "approve": True}]}


@dataclass(frozen=True, slots=True)
class Opened:
    """A tab in which somebody is logged in, a product whose canary is under way, and where the platform is."""

    page: Page
    base: str
    product: str
    seatrial: Seatrial

    @property
    def address(self) -> str:
        return f"{self.base}/seatrial/products/{self.product}"

    def rollout(self) -> dict[str, str]:
        found: dict[str, str] = self.seatrial.told("status")["rollouts"][0]
        return found


@pytest.fixture(scope="module")
def opened(seatrial: Seatrial, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    spec = json.loads(json.dumps(SPEC))
    spec["rollout"] |= {"strategy": "canary", "canary": SLOW, "analysis": {"interval": "1s"}}
    product = Shop("pageshop", tmp_path_factory.mktemp("shop"), spec).write()
    assert seatrial.run("release", str(product.file)).returncode == 0
    product.write(rows(seed=1))
    release = seatrial.start("release", str(product.file))
    profile = tmp_path_factory.mktemp("browser") / "profile"
    try:
        assert until(
            lambda: any(each["phase"] in {"observing", "holding"} for each in seatrial.told("status")["rollouts"])
        )
        with chromium(profile, {}) as browsing:
            page = browsing.new_page()
            address = seatrial.run("open", "--print").stdout.strip()
            page.go(address)
            page.until("location.pathname === '/seatrial/' && document.readyState === 'complete'")
            yield Opened(page, address.partition("/seatrial")[0], product.name, seatrial)
    finally:
        seatrial.run("abort", product.name, "--reason", "the tests are over")
        release.communicate(timeout=120)


def ask(opened: Opened, count: int) -> None:
    for _ in range(count):
        row = {"price": 20.0, "visits": 3, "country": "FR"}
        assert opened.seatrial.ask(opened.product, [row]).status_code == 200


def test_the_page_is_opened_logged_in_and_shows_the_canary(opened: Opened) -> None:
    show(opened.page, f"{opened.base}/seatrial/")
    assert "pageshop" in opened.page.run("document.body.innerText")
    show(opened.page, opened.address)
    told = opened.page.run("document.body.innerText")
    assert "v2 by canary" in told
    assert "v1 champion: 50 %" in told


def test_the_page_hears_of_looks_and_orders_without_being_loaded_again(opened: Opened) -> None:
    show(opened.page, opened.address)
    opened.page.until("document.getElementById('link').dataset.state === 'live'")
    opened.page.run("window.first = true; document.getElementById('order-abort').focus()")
    ask(opened, 20)
    opened.page.until(f"Boolean({element('#evidence svg')} && {element('#charts .numbers')})")
    assert opened.seatrial.run("pause", opened.product, "--reason", "let us see").returncode == 0
    began = time.monotonic()
    opened.page.until("document.getElementById('now').innerText.includes('let us see')")
    assert time.monotonic() - began < 30
    opened.page.until("document.getElementById('announce').textContent.includes('Paused by a person')")
    assert opened.page.run("window.first && document.activeElement.id") == "order-abort", "focus stays where it was"
    assert opened.seatrial.run("resume", opened.product).returncode == 0


def test_an_order_goes_by_keyboard_from_the_product_to_its_result(opened: Opened) -> None:
    show(opened.page, opened.address)
    opened.page.run("document.getElementById('order-pause').focus()")
    press(opened.page, "Enter")
    opened.page.until("location.pathname.endsWith('/orders/pause') && document.readyState === 'complete'")
    assert "What will happen" in opened.page.run("document.body.innerText")
    opened.page.run("document.getElementById('reason').focus()")
    opened.page.ask("Input.insertText", {"text": "seen on the page"})
    press(opened.page, "Tab")
    press(opened.page, "Enter")
    opened.page.until("location.search.startsWith('?order=') && document.readyState === 'complete'")
    assert until(lambda: opened.rollout()["phase"] == "paused")
    assert "(page): seen on the page" in opened.rollout()["reason"]
    assert opened.seatrial.run("resume", opened.product).returncode == 0


@pytest.mark.skipif(axe() is None, reason="axe-core-python is not installed: it is in requirements.lock")
@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(opened: Opened, width: int, dark: bool) -> None:
    for address in (f"{opened.base}/seatrial/", opened.address, f"{opened.address}/orders/abort"):
        show(opened.page, address, width=width, dark=dark)
        assert violations(opened.page) == []
        assert opened.page.run("document.documentElement.scrollWidth <= innerWidth"), address


def test_without_scripts_the_page_reads_and_obeys(opened: Opened) -> None:
    opened.page.ask("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show_plainly(opened.page, f"{opened.address}/orders/skip")
        told = opened.page.ask("DOM.getDocument", {"depth": -1})
        assert "What will happen" in json.dumps(told)
    finally:
        opened.page.ask("Emulation.setScriptExecutionDisabled", {"value": False})


def test_nothing_of_the_page_is_asked_elsewhere_and_no_policy_is_broken(opened: Opened) -> None:
    opened.page.ask("Log.enable")
    for address in (f"{opened.base}/seatrial/", opened.address, f"{opened.address}/orders/release"):
        show(opened.page, address)
        asked = [each for each in opened.page.told if each["method"] == "Network.requestWillBeSent"]
        urls = [each["params"]["request"]["url"] for each in asked]
        assert urls
        assert all(url.startswith(opened.base) for url in urls), urls
        said = [each for each in opened.page.told if each["method"] in {"Log.entryAdded", "Runtime.exceptionThrown"}]
        assert said == []


def test_watchers_that_vanish_leave_the_service_as_it_was(opened: Opened) -> None:
    token = opened.seatrial.told("token", "create", "watcher", "--role", "viewer")["token"]
    headers = {"authorization": f"Bearer {token}"}
    service, before = control_service(opened.seatrial), 0
    for number in range(40):
        with httpx.Client(base_url=opened.base, headers=headers, trust_env=False, timeout=30) as client:
            stream = client.get(opened.address).text.partition('data-stream="')[2].partition('"')[0]
            with client.stream("GET", stream) as answer:
                assert answer.status_code == 200
        before = before or (service.memory_info().rss if number == 10 else 0)
    assert httpx.get(f"{opened.base}/seatrial/", headers=headers, trust_env=False, timeout=30).status_code == 200
    assert until(lambda: len(connections(service)) < 20, 60)
    assert service.memory_info().rss - before < 5e6


def control_service(seatrial: Seatrial) -> psutil.Process:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            named = "flows.entrypoints.control_service.main" in process.cmdline()
            if named and process.environ().get("SEATRIAL_HOME") == str(seatrial.home):
                return process
    raise AssertionError("there is no control service")


def connections(service: psutil.Process) -> list[object]:
    return [each for each in service.net_connections("unix") if str(each.laddr).endswith("control.sock")]


def press(page: Page, key: str) -> None:
    codes = {"Enter": 13, "Tab": 9}
    told = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "text": "\r" if key == "Enter" else ""}
    page.ask("Input.dispatchKeyEvent", {"type": "keyDown", **told})
    page.ask("Input.dispatchKeyEvent", {"type": "keyUp", **told})


def show_plainly(page: Page, address: str) -> None:
    """Where no script runs, nothing can be asked of the page but its document."""
    page.go(address)
