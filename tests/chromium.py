"""A real Chromium without a window, told what to do by its own protocol (CDP): it needs no driver beside it.

It is Debian's package `chromium`, or the program that `SEATRIAL_TEST_BROWSER` names.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

Json = dict[str, Any]
# Seconds after which what a browser was asked for will not come about.
_PATIENCE = 240.0
_WALLS = (
    "LocalNetworkAccessChecks", "LocalNetworkAccessChecksWebSockets", "LocalNetworkAccessChecksWebRTC",
    "BlockInsecurePrivateNetworkRequests", "PrivateNetworkAccessSendPreflights",
)  # fmt: skip


def browser() -> str | None:
    """The program; None where there is none."""
    return os.environ.get("SEATRIAL_TEST_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")


class Chromium:
    """One browser with one profile: a cookie that one page got is sent by all."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, Json] = {}
        self._pages: dict[str, Page] = {}

    def new_page(self) -> "Page":
        """An empty one."""
        target = str(self.ask("Target.createTarget", {"url": "about:blank"})["targetId"])
        session = str(self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"])
        page = self._pages[session] = Page(self, target, session)
        for domain in ("Page", "Network", "Runtime"):
            page.ask(f"{domain}.enable")
        return page

    def cookies(self) -> list[Json]:
        """All of the profile, those that no script reads, too."""
        kept: list[Json] = self.ask("Storage.getCookies")["cookies"]
        return kept

    def forget_cookies(self) -> None:
        """Nobody is logged in anywhere."""
        self.ask("Storage.clearCookies")

    def ask(self, method: str, parameters: Mapping[str, Any] | None = None, session: str | None = None) -> Json:
        """What the browser answers. Raises `AssertionError` with its words if it will not."""
        number = self.tell(method, parameters, session)
        while number not in self._answers:
            self.hear()
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: Json = answer["result"]
        return result

    def tell(self, method: str, parameters: Mapping[str, Any] | None = None, session: str | None = None) -> int:
        """The number that its answer will have."""
        number = next(self._numbers)
        told = {"id": number, "method": method, "params": dict(parameters or {})}
        self._connection.send(json.dumps(told if session is None else told | {"sessionId": session}))
        return number

    def hear(self) -> None:
        """Waits for the next thing that the browser says."""
        message = json.loads(self._connection.recv(_PATIENCE))
        if "id" in message:
            self._answers[message["id"]] = message
        elif page := self._pages.get(message.get("sessionId", "")):
            page.told.append(message)


class Page:
    """A tab. What it runs is run as a script of the page that it shows."""

    def __init__(self, chromium: Chromium, target: str, session: str) -> None:
        self._chromium, self._target, self._session = chromium, target, session
        self.told: list[Json] = []
        self._under_way: set[str] = set()

    def ask(self, method: str, parameters: Mapping[str, Any] | None = None) -> Json:
        return self._chromium.ask(method, parameters, self._session)

    def go(self, url: str, instead: str | None = None) -> None:
        """Shows what is at `url`, loaded; or the HTML `instead`, as from who had the name before (rebinding)."""
        self.told.clear()
        if instead is not None:
            self.ask("Fetch.enable", {"patterns": [{"urlPattern": url}]})
        self._chromium.tell("Page.navigate", {"url": url}, self._session)  # answered when something came of it
        if instead is not None:
            paused = self._event("Fetch.requestPaused")
            html = {"responseCode": 200, "responseHeaders": [{"name": "content-type", "value": "text/html"}]}
            body = base64.b64encode(instead.encode()).decode()
            self.ask("Fetch.fulfillRequest", {"requestId": paused["requestId"], "body": body, **html})
        self._event("Page.loadEventFired")
        if instead is not None:
            self.ask("Fetch.disable")

    def run(self, script: str) -> Any:
        """What `script` comes to, its promises kept. The browser takes it for what a person's click sets off."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.ask("Runtime.evaluate", asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def settle(self) -> None:
        """Returns when no beacon of the page is under way any more; for all else a script can wait."""
        self.run("new Promise(done => setTimeout(done, 50))")
        while True:
            for event in self.told:
                number = event["params"].get("requestId", "")
                if event["method"] == "Network.requestWillBeSent" and event["params"]["type"] == "Ping":
                    self._under_way.add(number)
                elif event["method"] in {"Network.loadingFinished", "Network.loadingFailed"}:
                    self._under_way.discard(number)
            self.told.clear()
            if not self._under_way:
                return
            self._chromium.hear()

    def until(self, script: str) -> Any:
        """What `script` comes to as soon as that is something; else raises `AssertionError` with what is shown."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with suppress(AssertionError):  # just then another document took the place of this one
                if found := self.run(script):
                    return found
            time.sleep(0.2)
        raise AssertionError(f"{script} never came true at {self.run('location.href + document.body.innerText')}")

    def close(self) -> None:
        self._chromium.ask("Target.closeTarget", {"targetId": self._target})

    def _event(self, method: str) -> Json:
        """The parameters of the next one of this kind."""
        while not (found := [event for event in self.told if event["method"] == method]):
            self._chromium.hear()
        self.told.remove(found[0])
        parameters: Json = found[0]["params"]
        return parameters


@contextmanager
def chromium(profile: Path, names: Mapping[str, str]) -> Iterator[Chromium]:
    """A browser that takes `names` to be at these addresses, as a name server of an attacker's would say."""
    program = browser()
    assert program is not None
    rules = ", ".join(f"MAP {name} {address}" for name, address in names.items())
    command = [
        program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
        # A browser's own wall between the internet and this machine: not every browser has it, so none is counted on.
        f"--disable-features={','.join(_WALLS)}",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", f"--host-resolver-rules={rules}", "about:blank",
    ]  # fmt: skip
    told = profile.with_suffix(".log")
    with told.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            where = _debugger(profile, process, told)
            # Without pings: on a busy machine a browser does not answer them for a while, and is there all the same.
            with connect(where, max_size=None, open_timeout=_PATIENCE, ping_interval=None) as connection:
                yield Chromium(connection)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _debugger(profile: Path, process: "subprocess.Popen[bytes]", told: Path) -> str:
    place, end = profile / "DevToolsActivePort", time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if place.exists() and len(lines := place.read_text().split()) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.1)
    raise AssertionError(f"the browser did not start: {told.read_text(errors='replace')[-2000:]}")
