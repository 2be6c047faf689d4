"""A model that does what no model should, by what it is asked: a distance below 0 is the number of a misdeed."""

import asyncio
import ctypes
import os
import random
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from tests.model_folder import COLUMNS, ROWS, description_of, store

TRUST = ("--trust", "tests.hostile.odd_model.Odd")


def _raising(kind: type[BaseException]) -> Callable[[], object]:
    def misdeed() -> object:
        raise kind("s3cret")

    return misdeed


def _recursing() -> object:
    return _recursing()


def _deep_below_python() -> object:
    """Beyond the stack of a thread, in C."""
    sys.setrecursionlimit(2**30)
    nested: Any = []
    for _ in range(10**6):
        nested = [nested]
    return repr(nested)


def _copying_the_process() -> object:
    os.fork()
    return None


def _leaving_a_copy_behind() -> object:
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
    return None


def _leaving_a_thread_behind() -> object:
    threading.Thread(target=threading.Event().wait).start()
    return None


def _sockets() -> list[int]:
    numbers = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    return [number for number in numbers if _is_socket(number)]


def _is_socket(number: int) -> bool:
    try:
        return str(Path(f"/proc/self/fd/{number}").readlink()).startswith("socket:")
    except OSError:
        return False


def _closing_what_it_listens_at() -> object:
    for number in _sockets():
        os.close(number)
    return None


def _closing_everything() -> object:
    os.closerange(3, 1024)
    return None


def _changing_the_process() -> object:
    os.chdir("/")
    os.umask(0)
    os.environ.clear()
    sys.stdout = sys.stderr = None  # type: ignore[assignment]
    random.seed(0)
    np.random.seed(0)
    np.seterr(all="raise")
    warnings.simplefilter("error")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    return None


def _changing_what_modules_have() -> object:
    time.monotonic = time.time = time.perf_counter = lambda: 0.0
    time.sleep = lambda _: None
    signal.setitimer = None  # type: ignore[assignment,misc]
    return None


def _printing() -> object:
    for _ in range(64):
        print("x" * 65_536)
        print("x" * 65_536, file=sys.stderr)
    return None


def _raising_a_group() -> object:
    raise BaseExceptionGroup("s3cret", [KeyboardInterrupt("s3cret"), ValueError("s3cret")])


def _matching_without_end() -> object:
    """In C, and nobody else gets to run meanwhile."""
    return re.match("(a+)+$", "a" * 60 + "b")


def _hanging() -> object:
    return threading.Event().wait()


def _computing_without_end() -> object:
    while True:
        pass


MISDEEDS: tuple[Callable[[], object], ...] = (
    *map(_raising, (StopIteration, StopAsyncIteration, SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError)),
    _recursing,
    lambda: iter(()),
    lambda: (row for row in [[0.5, 0.5]]),
    lambda: [[0.5, 0.5]] * 99,
    lambda: [0.5],
    lambda: [[0.5, 0.25, 0.25]],
    lambda: [[0.5, float("nan")]],
    lambda: [["a", "b"]],
    lambda: np.array([[object(), object()]]),
    lambda: np.array([[0.5 + 1j, 0.5]]),
    lambda: "😀",
    lambda: None,
    lambda: np.broadcast_to(0.5, (1, 10**12)),
    lambda: np.broadcast_to(0.5, (10**12, 2)),
    *map(_raising, (asyncio.CancelledError, MemoryError)),
    _raising_a_group,
    _printing,
    _copying_the_process,
    _leaving_a_copy_behind,
    _leaving_a_thread_behind,
    _changing_what_modules_have,
    _changing_the_process,
    _hanging,
    _computing_without_end,
    # From here on nobody can go on.
    _deep_below_python,
    lambda: os._exit(3),
    lambda: ctypes.string_at(0),
    os.abort,
    lambda: os.kill(os.getpid(), signal.SIGKILL),
    _closing_what_it_listens_at,
    _closing_everything,
    lambda: os.closerange(0, 10),
    lambda: os.closerange(1, 3),
    _matching_without_end,
)
DEADLY = 10


class Odd(ClassifierMixin, BaseEstimator):
    """The hour's fraction decides; nothing in it can be compiled."""

    def fit(self, classes: Any) -> "Odd":
        self.classes_ = classes
        return self

    def predict_proba(self, frame: Any) -> Any:
        misdeed = int(-frame[COLUMNS[0]].min())
        if misdeed > 0:
            return MISDEEDS[misdeed - 1]()
        likely = frame[COLUMNS[0]].to_numpy() % 1
        frame[COLUMNS[0]] = 7.0
        frame.to_numpy()[:] = 7.0
        return np.stack([1 - likely, likely], axis=1)

    def predict(self, frame: Any) -> Any:
        return self.classes_[(self.predict_proba(frame)[:, 1] > 0.5).astype(int)]


class Stuck(Odd):
    """One that is never loaded."""

    def __setstate__(self, state: Any) -> None:
        _hanging()


def write_odd_model(folder: Path, kind: type[Odd] = Odd) -> Path:
    """Its folder."""
    answers = [[1 - row[0] % 1, row[0] % 1] for row in ROWS]
    description = description_of("flights", "classification", "probability", [False, True])
    return store(folder, kind().fit(np.array([False, True])), description, answers)
