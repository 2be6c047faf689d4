"""What the page costs: fifty products under way, ten people who watch.

    make bench-page        (python -m benchmarks.page [SECONDS])

On a platform of the benchmark's own, through its gateway. Fifty rollouts are written into its journal, and go on: each
is looked at every ten seconds. Five people watch the overview, five a product each. For a minute (SECONDS) the
processor time of the control service is counted, and how soon after a look was written a watcher has it; then a
browser opens both pages, empty-handed each time, to the first paint. Memory is the control service's, with the
watchers there.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.release import _run
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Weighing
from deployments.clock import SystemClock
from deployments.journals.database import DatabaseJournal
from deployments.journals.protocol import Event, Lease
from deployments.local_platform.addresses import read_addresses
from deployments.process_identity import Owner
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Launch, Observe, Promote, Retire, Shift, Step, Until, Verify
from deployments.settings import Settings
from deployments.spec import RolloutSection
from deployments.traffic import Weights
from deployments.web_login.login_link import address_with_ticket

ROOT = Path(__file__).parents[1]
PRODUCTS, WATCHERS, LOOKS = 50, 10, 60
LOOK_EVERY = timedelta(seconds=10)
AIM_PAINT_MS, AIM_LIVE_SECONDS, AIM_PROCESSOR, AIM_MEMORY_MB = 300.0, 1.0, 5.0, 90.0
_STEPS: tuple[Step, ...] = (
    Launch(2, 2),
    Verify(2),
    Shift(Weights({1: 90, 2: 10})),
    Observe(Until.PROOF, timedelta(minutes=30)),
    Shift(Weights.all_to(2)),
    Observe(Until.TIME, timedelta(minutes=5)),
    Promote(2),
    Retire(1),
)
# On this machine `seatrial down` would end whoever carries a rollout.
_ELSEWHERE = Owner("another-host", 1, 0.0)
console = Console()


def main(seconds: float) -> int:
    """Measure, print the table; the exit code, 1 if an aim was missed."""
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-", dir="/tmp") as name:
        settings = Settings(home=Path(name) / "home", project=Path(name))
        (Path(name) / "specs").mkdir()
        environment = os.environ | {"SEATRIAL_HOME": str(settings.home), "SEATRIAL_PROJECT": name}
        try:
            _run(environment, "flows.entrypoints.cli.main", "up")
            gateway = str(read_addresses(settings).gateway_from_here)
            fleet = Fleet(DatabaseJournal(settings.journal_address))
            fleet.begin()
            measured = asyncio.run(_watched(settings, gateway, fleet, seconds))
            paints = _paints(settings, gateway, Path(name))
        finally:
            _run(environment, "flows.entrypoints.cli.main", "down")
    return _print(measured, paints, seconds)


@dataclass
class Fleet:
    """Fifty rollouts that somebody carries; `written` is when each product's newest look was."""

    journal: DatabaseJournal
    states: list[RolloutState] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    written: dict[str, float] = field(default_factory=dict)

    def begin(self) -> None:
        """Each with a ten minutes of looks behind it."""
        now = datetime.now(UTC)
        for number in range(PRODUCTS):
            product, began = f"product-{number:02}", now - LOOKS * LOOK_EVERY
            lease = self.journal.acquire(product, _ELSEWHERE, now, timedelta(hours=1))
            state = RolloutState(
                f"{number:08}-0000-7000-8000-000000000000", product, 2, 1, "canary", RolloutSection(), _STEPS, 3,
                Phase.OBSERVING, "not yet proved", began, now, began,
            )  # fmt: skip
            self.journal.record(Event(product, state.rollout_id, began, "release.asked", {"who": "benchmark"}))
            for look in range(LOOKS):
                self.journal.save(state, lease, _block(began + look * LOOK_EVERY, look))
            self.states.append(state)
            self.leases.append(lease)

    def look(self, number: int, looks: int) -> str:
        """One more look at one product; returns its name."""
        now = datetime.now(UTC)
        state = replace(self.states[number], updated_at=now, observed=timedelta(seconds=looks))
        self.states[number] = state
        self.journal.save(state, self.leases[number], _block(now - LOOK_EVERY, looks))
        self.written[state.product] = time.perf_counter()
        return state.product


def _block(start: datetime, look: int) -> Block:
    latency = tuple(100 if number == 3 else 0 for number in range(len(LATENCY_BOUNDS_MS) + 1))
    found = tuple(
        Weighing(metric, 1.0 + look % 7, 300.0, 1.01**look, 20.0, max(1, 2000 - look))
        for metric in ("error_rate", "latency")
    )
    stable, candidate = Counts(900, look % 3, latency), Counts(100, look % 2, latency)
    return Block(start, start + LOOK_EVERY, 3, 0.1, stable, candidate, weighings=found)


async def _watched(settings: Settings, gateway: str, fleet: Fleet, seconds: float) -> dict[str, float]:
    service = _service(settings)
    late: list[float] = []
    ends = time.perf_counter() + seconds + 5
    async with httpx.AsyncClient(base_url=gateway, timeout=60, trust_env=False) as client:
        await _log_in(client, settings, gateway)
        paths = ["/seatrial/"] * (WATCHERS // 2) + [
            f"/seatrial/products/product-{number:02}" for number in range(WATCHERS // 2)
        ]
        watchers = [asyncio.create_task(_watch(client, path, fleet, late, ends)) for path in paths]
        await asyncio.sleep(5)
        before, began, looks = sum(service.cpu_times()[:2]), time.perf_counter(), LOOKS
        pause = LOOK_EVERY.total_seconds() / PRODUCTS
        due = began
        while time.perf_counter() - began < seconds:
            await asyncio.to_thread(fleet.look, looks % PRODUCTS, looks)
            looks, due = looks + 1, due + pause
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        passed = time.perf_counter() - began
        spent = sum(service.cpu_times()[:2]) - before
        memory = service.memory_info().rss / 1e6
        for each in watchers:
            each.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
    late.sort()
    return {
        "processor": 100 * spent / passed,
        "memory": memory,
        "p50": late[len(late) // 2],
        "p99": late[int(len(late) * 0.99)],
    }


async def _log_in(client: httpx.AsyncClient, settings: Settings, gateway: str) -> None:
    address = address_with_ticket(gateway, settings.keys_folder, "seatrial", SystemClock().now())
    ticket = address.partition("ticket=")[2]
    answer = await client.post("/seatrial/login", data={"ticket": ticket}, headers={"origin": gateway})
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text


async def _watch(client: httpx.AsyncClient, path: str, fleet: Fleet, late: list[float], ends: float) -> None:
    page = await client.get(path)
    assert page.status_code == httpx.codes.OK, page.text
    stream = page.text.partition('data-stream="')[2].partition('"')[0]
    async with client.stream("GET", stream, headers={"accept": "text/event-stream"}) as answer:
        async for line in answer.aiter_lines():
            if time.perf_counter() > ends:
                return
            heard = time.perf_counter()
            for product in {part[:10] for part in line.split("row-")[1:]} if line.startswith("data:") else ():
                written = fleet.written.get(product)
                if written is not None and heard - written < LOOK_EVERY.total_seconds() / 2:
                    late.append(heard - written)


def _paints(settings: Settings, gateway: str, folder: Path) -> dict[str, float]:
    """Milliseconds to the first contentful paint of each page, the median of five; nothing without a browser."""
    from tests.chromium import browser, chromium

    if browser() is None:
        return {}
    found: dict[str, float] = {}
    with chromium(folder / "browser", {}) as opened:
        page = opened.new_page()
        page.go(address_with_ticket(gateway, settings.keys_folder, "seatrial", SystemClock().now()))
        page.until("location.pathname === '/seatrial/' && document.readyState === 'complete'")
        page.ask("Network.setCacheDisabled", {"cacheDisabled": True})
        for name, path in (("overview", "/seatrial/"), ("product", "/seatrial/products/product-03")):
            times = []
            for _ in range(5):
                page.go(f"{gateway}{path}")
                paint = "performance.getEntriesByName('first-contentful-paint')[0]"
                times.append(float(page.until(f"{paint} && {paint}.startTime")))
            found[name] = sorted(times)[2]
    return found


def _service(settings: Settings) -> psutil.Process:
    """The control service of this home."""
    home = str(settings.home.resolve())
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            named = "flows.entrypoints.control_service.main" in process.cmdline()
            if named and process.environ().get("SEATRIAL_HOME") == home:
                return process
    raise SystemExit("the control service is gone: see `seatrial logs control`")


def _print(measured: dict[str, float], paints: dict[str, float], seconds: float) -> int:
    rows: list[tuple[str, str, str]] = []
    missed = []

    def row(what: str, value: float, aim: float, told: Callable[[float], str]) -> None:
        rows.append((what, told(value), told(aim)))
        missed.append(value > aim)

    for name, value in paints.items():
        row(f"first paint of the {name}", value, AIM_PAINT_MS, lambda each: f"{each:.0f} ms")
    row("a look written → a watcher has it, median", measured["p50"], AIM_LIVE_SECONDS, lambda each: f"{each:.2f} s")
    row("a look written → a watcher has it, p99", measured["p99"], AIM_LIVE_SECONDS, lambda each: f"{each:.2f} s")
    row("processor, of one core", measured["processor"], AIM_PROCESSOR, lambda each: f"{each:.1f} %")
    row("control service, resident", measured["memory"], AIM_MEMORY_MB, lambda each: f"{each:.0f} MB")
    table = Table("", "measured", "aim", title=f"{PRODUCTS} products, {WATCHERS} watchers, {seconds:g} s")
    for each in rows:
        table.add_row(*each)
    console.print(table)
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
