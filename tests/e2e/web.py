"""Who is there when a page attacks: a browser with its owner's sessions, servers, and somebody else's pages."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.chromium import Chromium, Page
from tests.e2e.attacker import PAGE, Attacker
from tests.e2e.conftest import Seatrial, until
from tests.ports import free_port

# Where a page is from that attacks a server at 127.0.0.1, and by which name it asks.
ORIGINS = ("another site", "another port", "another port of localhost", "a name that leads here since (rebinding)")
EVIL, REBOUND = "evil.example", "rebound.example"
NAMES = {EVIL: "127.0.0.1", REBOUND: "127.0.0.1", "shop.example": "127.0.0.1"}


@dataclass
class Web:
    """A browser and an attacker, and the platform of whoever sits before it."""

    chromium: Chromium
    attacker: Attacker
    seatrial: Seatrial

    def port(self, part: str) -> int:
        return int(json.loads((self.seatrial.home / "platform.json").read_text())[part])

    def log_in(self, part: str) -> Page:
        """Its page, opened by what `seatrial open` says, under both names of this machine."""
        for name in ("localhost", "127.0.0.1"):
            told = self.seatrial.run("open", part, "--print")
            assert told.returncode == 0, told.stderr
            page = self.chromium.new_page()
            page.go(told.stdout.strip().replace("127.0.0.1", name))
            page.until("location.pathname !== '/seatrial/login' && document.readyState === 'complete'")
        return page

    def attack_from(self, origin: str, port: int) -> tuple[Page, str]:
        """A page from there, and the address of the server at `port` as it asks for it."""
        page = self.chromium.new_page()
        if origin == ORIGINS[3]:
            page.go(f"http://{REBOUND}:{port}/bait", instead=PAGE)
            return page, f"http://{REBOUND}:{port}"
        name = "localhost" if origin == ORIGINS[2] else "127.0.0.1"
        page.go(self.attacker.page(EVIL if origin == ORIGINS[0] else name))
        return page, f"http://{name}:{port}"

    def written(
        self, origin: str, port: int, path: str, body: Callable[[], str], count: Callable[[], int], credentials: str
    ) -> tuple[set[str], dict[str, str]]:
        """Names of the attempts after which `count` was another, and what the page learned from each."""
        page, where = self.attack_from(origin, port)
        learned, done = {}, set()
        for name in page.run("Object.keys(writes)"):
            before = count()
            asked = f"writes[{json.dumps(name)}], {json.dumps(where + path)}, {json.dumps(body())}, '{credentials}'"
            learned[name] = str(page.run(f"attempt({asked})"))
            page.settle()
            if count() != before:
                done.add(name)
        page.close()
        return done, learned

    def read(self, origin: str, port: int, path: str) -> dict[str, str]:
        """What a page learns from `path` by each way to read."""
        page, where = self.attack_from(origin, port)
        learned = {}
        for name in page.run("Object.keys(reads)"):
            learned[name] = str(page.run(f"attempt(reads[{json.dumps(name)}], {json.dumps(where + path)})"))
        page.close()
        return learned


@contextmanager
def without_door(
    folder: Path, command: list[str], variables: dict[str, str], api: str, health: str
) -> Iterator[tuple[httpx.Client, int]]:
    """A Python program that serves what is else behind a door: a client of its `api`, and its port."""
    folder.mkdir()  # in `command` the port is called PORT
    port = str(free_port())
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    told = [sys.executable, *(each.replace("PORT", port) for each in command)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            told, env=own | variables, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        where = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=f"{where}{api}", timeout=60, trust_env=False) as client:
            assert until(lambda: _answers(client, f"{where}{health}")), (folder / "log").read_text()[-2000:]
            yield client, int(port)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _answers(client: httpx.Client, health: str) -> bool:
    with suppress(httpx.HTTPError):
        return client.get(health).status_code == 200
    return False
