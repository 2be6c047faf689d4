"""A cluster of threads, which remembers what it was asked for."""

import platform
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import sklearn

from tasks.execution.cluster_protocol import Call, runner


class Threads:
    def __init__(self, cores: int = 2) -> None:
        self.cores_now = cores
        self.found = {(platform.python_version().rpartition(".")[0], sklearn.__version__)}
        self.kept: list[Any] = []
        self.pieces = 0
        self.most_at_once = 0
        self.before_piece: Callable[[], None] = lambda: None
        self.before_start: Callable[[], None] = lambda: None
        self._at_once = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(8)
        self._run = runner()

    def cores(self) -> int:
        return self.cores_now

    def versions(self) -> set[tuple[str, str]]:
        return self.found

    def keep(self, value: Any) -> int:
        self.kept.append(value)
        return len(self.kept) - 1

    def start(self, calls: list[Call], kept: list[int]) -> "Future[list[Any]]":
        self.before_start()
        return self._pool.submit(self._piece, calls, [self.kept[number] for number in kept])

    def _piece(self, calls: list[Call], kept: list[Any]) -> list[Any]:
        with self._lock:
            self.pieces += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self.before_piece()
            return self._run(calls, *kept)
        finally:
            with self._lock:
                self._at_once -= 1
