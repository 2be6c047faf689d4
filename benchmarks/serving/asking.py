"""One way to ask one running server: what a request costs it in CPU, and how long it takes."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.processes import ROOT
from benchmarks.serving.trees import Tree, cpu_seconds

CLOSED_CONNECTIONS, OPEN_CONNECTIONS = 4, 16


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the requests go, how they are written, and how many rows each has."""

    port: int
    dialect: str
    rows_file: Path
    rows: int


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds a request, of the serving processes and of the rest; requests a second of four connections."""

    cpu_ms: float
    rest_cpu_ms: float
    requests_a_second: float
    requests: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from when a request was due until its answer was there."""

    p50_ms: float
    p99_ms: float
    requests: int


class Failed(Exception):
    """The load ended with a complaint, which is the message."""


def cost_of(asked: Asked, tree: Tree, serves: Sequence[str] | None, seconds: float) -> Cost:
    """Closed loop: each of four connections asks again once it is answered. Raises `Failed`."""
    with _load(asked, seconds, 0.0, CLOSED_CONNECTIONS) as load:
        before = cpu_seconds(tree.processes())
        load.begin()
        after = cpu_seconds(tree.processes())
        found = load.result()
    spent = {process: total - before.get(process, 0.0) for process, total in after.items()}
    serving = sum(spent[process] for process in serving_among(list(spent), serves))
    to_ms = 1000 / found["requests"]
    rest = sum(spent.values()) - serving
    return Cost(serving * to_ms, rest * to_ms, found["requests"] / found["seconds"], int(found["requests"]))


def latency_of(asked: Asked, seconds: float, rate: float) -> Latency:
    """Open loop: so many requests a second, whatever becomes of them. Raises `Failed`."""
    with _load(asked, seconds, rate, OPEN_CONNECTIONS) as load:
        load.begin()
        found = load.result()
    return Latency(found["p50_ms"], found["p99_ms"], int(found["requests"]))


def serving_among(processes: Sequence[psutil.Process], serves: Sequence[str] | None) -> list[psutil.Process]:
    """Those that answer requests, by how their command lines begin; with None all of them."""
    if serves is None:
        return list(processes)
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if " ".join(process.cmdline()).startswith(tuple(serves)):
                found.append(process)
    return found


class _Load:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._expect("ready")

    def begin(self) -> None:
        """Returns when the last answer is there."""
        assert self._process.stdin is not None
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()
        self._expect("done")

    def result(self) -> dict[str, float]:
        """What the load found."""
        result: dict[str, float] = json.loads(self._line())
        return result

    def _expect(self, word: str) -> None:
        if (line := self._line()) != word:
            raise Failed(f"the load said {line!r} instead of {word!r}")

    def _line(self) -> str:
        """The next line, read in one way only: what a stream has read ahead is nowhere else."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if line := self._process.stdout.readline().strip():
            return line
        raise Failed(self._process.stderr.read().strip()[-1_500:])


@contextlib.contextmanager
def _load(asked: Asked, seconds: float, rate: float, connections: int) -> Iterator[_Load]:
    warm_up = min(1.0, seconds / 4)
    where = [str(asked.port), asked.dialect, str(asked.rows_file), str(asked.rows)]
    how = [str(warm_up), str(seconds), str(rate), str(connections)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.client", *where, *how],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield _Load(process)
    finally:
        process.kill()
        process.wait()
