"""Light live traffic beside a test, and what became of every single request."""

import json
import threading
from collections import Counter
from types import TracebackType

import httpx

from tests.e2e.conftest import Seatrial

_PAUSE = 0.05
ROW = {"price": 3.0, "visits": 12, "country": "FR"}


class Traffic:
    """Asks for predictions from entering to leaving the block, one after the other; remembers who answered."""

    def __init__(self, seatrial: Seatrial, product: str) -> None:
        gateway = json.loads((seatrial.home / "platform.json").read_text())["gateway"]
        self._address = f"http://127.0.0.1:{gateway}/{product}/invocations"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_on)
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _ask_on(self) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            while not self._over.wait(_PAUSE):
                try:
                    answer = client.post(self._address, json={"dataframe_records": [ROW]})
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if answer.status_code != 200:
                    self.failures.append(f"{answer.status_code}: {answer.text[:200]}")
                self.answers[answer.headers.get("x-seatrial-version", "none")] += 1
