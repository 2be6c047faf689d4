"""Ten times what a server can do: what it takes on it answers in time, the rest is told at once to come again."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hostile.served import Served, seconds_of, serving
from tests.hostile.slow_model import SECONDS_A_ROW, TRUST

IN_FLIGHT = 16
OFFERED_A_SECOND = 10 / SECONDS_A_ROW
CONNECTIONS = 100
# Those in flight, and the micro-batch that began before them; and a busy machine.
ACCEPTED_SECONDS = 2 * IN_FLIGHT * SECONDS_A_ROW + 0.5
REFUSED_SECONDS = 0.25


@dataclass
class Outcome:
    """Seconds until the answer, by its code; and what was wrong with answers."""

    seconds: dict[int, list[float]] = field(default_factory=lambda: {200: [], 503: []})
    wrong: Counter[str] = field(default_factory=Counter)

    def late(self, code: int) -> float:
        """99th percentile."""
        ordered = sorted(self.seconds[code])
        return ordered[len(ordered) * 99 // 100]

    def __str__(self) -> str:
        counts = ", ".join(
            f"{len(took)} × {code} (p99 {self.late(code) * 1000:.0f} ms)" for code, took in self.seconds.items()
        )
        return f"{counts}; wrong {dict(self.wrong)}"


async def _callers(path: Path, seconds: float, outcome: Outcome) -> None:
    end, period = time.monotonic() + seconds, CONNECTIONS / OFFERED_A_SECOND
    await asyncio.gather(*(_caller(path, number, period, end, outcome) for number in range(CONNECTIONS)))


async def _caller(path: Path, number: int, period: float, end: float, outcome: Outcome) -> None:
    """Asks once in each `period`, however the last one was answered, about a row that only this caller has."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    share = (number + 1) / 128
    body = json.dumps({"instances": [[7 + share, 5, "UA"]]}).encode()
    due = time.monotonic() + period * number / CONNECTIONS
    while due < end:
        await asyncio.sleep(due - time.monotonic())
        due = max(due + period, time.monotonic())
        begun = time.monotonic()
        writer.write(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        [length] = [line for line in head.split(b"\r\n") if line.startswith(b"content-length: ")]
        content = await reader.readexactly(int(length.split()[1]))
        code = int(head[9:12])
        outcome.seconds.setdefault(code, []).append(time.monotonic() - begun)
        if code == 200 and json.loads(content)["predictions"] != [[1 - share, share]]:
            outcome.wrong["a prediction of another"] += 1
        if code == 503 and b"retry-after: 1\r\n" not in head:
            outcome.wrong["no Retry-After"] += 1
    writer.close()


def overloaded(served: Served, seconds: float) -> None:
    before = served.memory_mib
    outcome = Outcome()
    asyncio.run(_callers(served.path, seconds, outcome))
    print(f"\n{OFFERED_A_SECOND:.0f} requests a second offered for {seconds:.0f} s: {outcome}")
    assert not outcome.wrong
    assert outcome.seconds.keys() == {200, 503}
    assert sum(map(len, outcome.seconds.values())) > 0.7 * seconds * OFFERED_A_SECOND, "so many were really offered"
    assert len(outcome.seconds[200]) > 0.6 * seconds / SECONDS_A_ROW, "the server was busy all the time"
    assert outcome.late(200) < ACCEPTED_SECONDS
    assert outcome.late(503) < REFUSED_SECONDS
    assert served.memory_mib < before + 50
    assert served.answers_rightly()


def test_ten_times_too_much_is_answered_or_told_to_come_again(slow_model: Path) -> None:
    with serving(slow_model, "--max-in-flight", str(IN_FLIGHT), *TRUST) as served:
        overloaded(served, 5)


@pytest.mark.hostile
@pytest.mark.timeout(0)
def test_overload_may_last(slow_model: Path) -> None:
    with serving(slow_model, "--max-in-flight", str(IN_FLIGHT), *TRUST) as served:
        overloaded(served, 10)
        overloaded(served, seconds_of(300))
