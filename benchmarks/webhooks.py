"""How soon a signed webhook is answered, and how soon its run writes the first line of its log.

    make bench-webhooks        (python -m benchmarks.webhooks [RUNS])

On a platform of the benchmark's own, through its gateway: 2,000 deliveries at 50 a second to the 202, of a webhook
whose runs nobody starts, so that nothing but the receipt is measured; then RUNS deliveries (5 without a number), one
after the other: releases of flights, from the sending to the first line of the run's log, which is the worker's, and to
the first of the flow's own process. Memory is the control service's.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.release import _run
from deployments.local_platform.addresses import read_addresses
from deployments.settings import Settings
from deployments.web_login.password import USER, known_password
from deployments.webhooks.hooks import Hook, Hooks, new_hook
from deployments.webhooks.inbox import Inbox, State

ROOT = Path(__file__).parents[1]
A_SECOND, DELIVERIES = 50, 2_000
AIM_ANSWER_MS, AIM_RUN_SECONDS, AIM_MEMORY_MB = 100.0, 2.0, 90.0
_PATIENCE = 120.0
_NOT_THE_RUNS = frozenset({"prefect.flow_runs.worker", "prefect.flow_runs.runner"})
T = TypeVar("T")
console = Console()


def main(runs: int) -> int:
    """Measure, print the table; the exit code, 1 if an aim was missed."""
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-", dir="/tmp") as name:
        settings = Settings(home=Path(name) / "home", project=ROOT)
        environment = os.environ | {"SEATRIAL_HOME": str(settings.home)}
        try:
            _run(environment, "flows.entrypoints.cli.main", "up")
            gateway = str(read_addresses(settings).gateway_from_here)
            hooks = Hooks(settings.keys_folder)
            # A product of which there is no deployment: its deliveries are stored, and wait.
            nobody, flights = new_hook("generic", "nobody"), new_hook("generic", "flights", ("release",))
            for hook in (nobody, flights):
                hooks.keep(hook)
            answers = asyncio.run(_answers(gateway, nobody))
            first_lines = [_first_lines(settings, gateway, flights) for _ in range(runs)]
            memory = _memory(settings)
        finally:
            _run(environment, "flows.entrypoints.cli.main", "down")
    return _print(sorted(answers), first_lines, memory)


async def _answers(gateway: str, hook: Hook) -> list[float]:
    took: list[float] = []
    async with httpx.AsyncClient(base_url=gateway, timeout=30, trust_env=False) as client:

        async def send(due: float) -> None:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            answer = await client.post(hook.path, **_delivery(hook))
            took.append(time.perf_counter() - due)
            assert answer.status_code == 202, answer.text

        await client.post(hook.path, **_delivery(hook))
        began = time.perf_counter()
        await asyncio.gather(*(send(began + number / A_SECOND) for number in range(DELIVERIES)))
    return took


def _delivery(hook: Hook) -> dict[str, Any]:
    headers, body = hook.spoken.sample(hook.product, hook.rules, 1, datetime.now(UTC))
    shown = {**headers, **hook.spoken.signature(headers, body, hook.keys[0].secret)}
    return {"content": body, "headers": shown | {"content-type": "application/json"}}


def _first_lines(settings: Settings, gateway: str, hook: Hook) -> tuple[float, float]:
    """Seconds from the sending of a delivery to the first line of its run's log, and to the first of its own process.

    The former is the worker's, which takes the run. The run is waited for.
    """
    login = (USER, known_password(settings.keys_folder))
    base = f"{read_addresses(settings).url('prefect')}/api"
    with httpx.Client(base_url=base, auth=login, timeout=30, trust_env=False) as prefect:
        sent = datetime.now(UTC)
        answer = httpx.post(f"{gateway}{hook.path}", trust_env=False, **_delivery(hook))
        assert answer.status_code == 202, answer.text
        run = _until(lambda: _run_of(settings, str(answer.json()["delivery"])))
        _until(lambda: prefect.get(f"/flow_runs/{run}").json()["state"]["type"] in {"COMPLETED", "FAILED", "CRASHED"})
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        lines = _until(lambda: prefect.post("/logs/filter", json=wanted).raise_for_status().json())
    own = [line for line in lines if line["name"] not in _NOT_THE_RUNS]
    first, flows = (datetime.fromisoformat(some[0]["timestamp"]) for some in (lines, own))
    return (first - sent).total_seconds(), (flows - sent).total_seconds()


def _run_of(settings: Settings, delivery: str) -> str:
    with closing(Inbox(settings.feedback_database)) as inbox:
        found = [each for each in inbox.newest(5, state=State.STARTED) if each.delivery == delivery]
    return found[0].run if found else ""


def _until(found: Callable[[], T]) -> T:
    ends = time.perf_counter() + _PATIENCE
    while not (value := found()):
        if time.perf_counter() > ends:
            raise SystemExit("the run did not come so far within two minutes: see `seatrial logs control`")
        time.sleep(0.05)
    return value


def _memory(settings: Settings) -> float:
    """MB (10^6 bytes) that the control service of this home holds."""
    home = str(settings.home.resolve())
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            named = "flows.entrypoints.control_service.main" in process.cmdline()
            if named and process.environ().get("SEATRIAL_HOME") == home:
                return float(process.memory_info().rss) / 1e6
    raise SystemExit("the control service is gone: see `seatrial logs control`")


def _print(answers: list[float], first_lines: list[tuple[float, float]], memory: float) -> int:
    p50, p99 = (answers[int(len(answers) * share)] * 1000 for share in (0.5, 0.99))
    first, own = map(statistics.median, zip(*first_lines, strict=True))
    rows = [
        ("webhook → 202, p50", f"{p50:.1f} ms", ""),
        ("webhook → 202, p99", f"{p99:.1f} ms", f"{AIM_ANSWER_MS:g} ms"),
        ("webhook → first line of the run's log, median", f"{first:.2f} s", f"{AIM_RUN_SECONDS:g} s"),
        ("webhook → first line of the flow's own process, median", f"{own:.2f} s", ""),
        ("control service, resident", f"{memory:.0f} MB", f"{AIM_MEMORY_MB:g} MB"),
    ]
    table = Table("", "measured", "aim", title=f"{len(answers):,} deliveries at {A_SECOND}/s, {len(first_lines)} runs")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    missed = [p99 > AIM_ANSWER_MS, first > AIM_RUN_SECONDS, memory > AIM_MEMORY_MB]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
