"""Users of a product: requests at an even pace over kept connections, whatever becomes of the answers."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from tests.cluster.fleet import FAR
from tests.model_folder import COLUMNS

_CALLERS = 8


@dataclass(slots=True)
class Answered:
    """Codes by version as the answers name it; 0 for a request without an answer.

    `last` is when a version answered last, `failed_at` when requests failed that no version answered, `told` what these
    were told, beside the time of the day.
    """

    codes: Counter[tuple[str, int]] = field(default_factory=Counter)
    last: dict[str, float] = field(default_factory=dict)
    failed_at: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """All that were sent."""
        return sum(self.codes.values())

    def failed(self, version: int | None = None) -> int:
        """Requests without a 200: of a version, or those that no version answered."""
        name = "" if version is None else str(version)
        return sum(count for (who, code), count in self.codes.items() if who == name and code != 200)


@contextmanager
def users(url: str, rate: float, far: float = 0.0) -> Iterator[Answered]:
    """`rate` requests a second to `url` while the block lasts; a share of `far` asks for a far distance."""
    answered, ending, guard = Answered(), threading.Event(), threading.Lock()
    near, distant = (_body(distance) for distance in (1400.0, FAR))

    def call(first: int) -> None:
        number, began = first, time.monotonic()
        with httpx.Client(timeout=30, trust_env=False) as client:
            while not ending.wait(max(0.0, began + (number - first) / rate - time.monotonic())):
                body = distant if far and number % round(1 / far) == 0 else near
                who, code, said = _asked(client, url, body)
                with guard:
                    answered.codes[who, code] += 1
                    answered.last[who] = time.monotonic()
                    if not who:
                        answered.failed_at.append(answered.last[who])
                        answered.told.append(f"{datetime.now(UTC):%H:%M:%S.%f} {code} {said[:100]}")
                number += _CALLERS

    callers = [threading.Thread(target=call, args=(number,)) for number in range(_CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield answered
    finally:
        ending.set()
        for caller in callers:
            caller.join()


def _asked(client: httpx.Client, url: str, body: bytes) -> tuple[str, int, str]:
    try:
        answer = client.post(url, content=body, headers={"content-type": "application/json"})
    except httpx.HTTPError as error:
        return "", 0, repr(error)
    return answer.headers.get("x-seatrial-version", ""), answer.status_code, answer.text


def _body(distance: float) -> bytes:
    return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[distance, 9.0, "UA"]]}}).encode()
