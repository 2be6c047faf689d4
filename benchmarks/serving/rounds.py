"""The plan: in each round everybody is started, asked and ended once for each model, in an order drawn anew.

The first round measures CPU alone; it also tells how much the slowest sustains, and from then on everybody is offered
the same share of that.
"""

import contextlib
import http.client
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console

from benchmarks.processes import ROOT, free_port
from benchmarks.serving.asking import Asked, Failed, cost_of, latency_of, serving_among
from benchmarks.serving.dialects import DIALECTS
from benchmarks.serving.entrants import SINGLE_THREADED, Entrant, Launch, Way
from benchmarks.serving.environments import NotInstalled, python_of
from benchmarks.serving.models import Forms, train
from benchmarks.serving.results import ALONE, Results, Sample, Start
from benchmarks.serving.trees import NotStarted, Tree, cpu_seconds, memory_of, started, wait_until

OFFERED_SHARE = 0.6
_LONGEST_START_SECONDS = 90.0
_IDLE_SECONDS = 3.0
# Enough requests for a p99 where a server answers few a second, within reason.
_WANTED_REQUESTS, _LONGEST_LATENCY_SECONDS = 300, 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured; times are in seconds."""

    models: Sequence[str]
    rows: Sequence[int]
    rounds: int
    closed: float
    open: float


class Rounds:
    """A run of the plan; what it found is in `results` at any time."""

    def __init__(self, entrants: Sequence[Entrant], plan: Plan, console: Console) -> None:
        self.results = Results()
        self._plan, self._console = plan, console
        self._entrants = self._installed(entrants)
        self._chance = random.Random(7)

    def run(self) -> None:
        """Measures; raises KeyboardInterrupt with everything ended."""
        with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as name:
            folder = Path(name)
            forms = {model: train(model, folder / model) for model in self._plan.models}
            for number in range(self._plan.rounds):
                for model in self._plan.models:
                    self._round(number, model, forms[model])

    def _installed(self, entrants: Sequence[Entrant]) -> dict[str, tuple[Entrant, Path]]:
        found = {}
        for entrant in entrants:
            try:
                found[entrant.name] = (entrant, python_of(entrant.name))
            except NotInstalled as error:
                self._give_up(entrant, f"not installed: {error}")
        return found

    def _round(self, number: int, model: str, forms: Forms) -> None:
        for rows in self._plan.rows:
            self.results.samples.append(Sample(number, model, ALONE, rows, _alone(forms, rows, self._plan.closed)))
        for name in self._chance.sample(sorted(self._entrants), len(self._entrants)):
            entrant, python = self._entrants[name]
            self._console.print(f"round {number + 1} of {self._plan.rounds} · {model} · {name}", highlight=False)
            try:
                self._measure(number, model, forms, entrant, python)
            except (NotStarted, Failed) as error:
                self._give_up(entrant, f"{type(error).__name__} with {model}: {error}")

    def _measure(self, number: int, model: str, forms: Forms, entrant: Entrant, python: Path) -> None:
        with _running(entrant, python, forms) as running:
            idle = _idle_percent(running) if entrant.serves and number == 0 else None
            for way in entrant.ways:
                for rows in self._plan.rows:
                    self.results.samples.append(self._ask(number, model, running, way, rows))
            self.results.starts.append(_start(number, model, running, idle))

    def _ask(self, number: int, model: str, running: "_Running", way: Way, rows: int) -> Sample:
        asked = Asked(running.ports[way.port], way.dialect, running.rows_file, rows)
        cost = cost_of(asked, running.tree, running.entrant.serves, self._plan.closed)
        sample = Sample(
            round=number,
            model=model,
            way=way.name,
            rows=rows,
            cpu_ms=cost.cpu_ms,
            rest_cpu_ms=cost.rest_cpu_ms,
            requests_a_second=cost.requests_a_second,
            requests=cost.requests,
        )
        offered = self._offered(model, rows) if number else None
        if not offered:
            return sample
        seconds = min(max(self._plan.open, _WANTED_REQUESTS / offered), _LONGEST_LATENCY_SECONDS)
        latency = latency_of(asked, seconds, offered)
        return replace(sample, offered=offered, p50_ms=latency.p50_ms, p99_ms=latency.p99_ms)

    def _offered(self, model: str, rows: int) -> float | None:
        """The share of what the slowest answered in the first round."""
        rates = [
            sample.requests_a_second
            for sample in self.results.samples
            if (sample.round, sample.model, sample.rows) == (0, model, rows) and sample.requests_a_second
        ]
        return OFFERED_SHARE * min(rates) if rates else None

    def _give_up(self, entrant: Entrant, reason: str) -> None:
        self.results.failed[entrant.name] = reason
        self._console.print(f"{entrant.name}: {reason}", style="red", markup=False, highlight=False)


@dataclass(frozen=True, slots=True)
class _Running:
    """A server that answers; `ports` as in `Way.port`."""

    entrant: Entrant
    tree: Tree
    ports: tuple[int, ...]
    rows_file: Path
    start_seconds: float

    def apart(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """The processes that serve, and the rest."""
        processes = self.tree.processes()
        serving = serving_among(processes, self.entrant.serves)
        return serving, [process for process in processes if process not in serving]


@contextlib.contextmanager
def _running(entrant: Entrant, python: Path, forms: Forms) -> Iterator[_Running]:
    """The server answers inside the block. Raises `NotStarted`."""
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as name:
        folder = Path(name)
        launch = Launch(python, forms, folder / "work", free_port(), (free_port(), free_port()))
        launch.folder.mkdir()
        start, log = entrant.start(launch), folder / "log"
        with started(start.command, {**SINGLE_THREADED, **start.environment}, log) as tree:
            seconds = wait_until(lambda: _answers(launch, entrant.ways[0]), tree, log, _LONGEST_START_SECONDS)
            yield _Running(entrant, tree, (launch.port, *launch.further_ports), forms.rows, seconds)


def _start(number: int, model: str, running: _Running, idle: float | None) -> Start:
    serving, rest = running.apart()
    memory, beside = memory_of(serving), memory_of(rest)
    return Start(
        round=number,
        model=model,
        entrant=running.entrant.name,
        seconds=running.start_seconds,
        pss_mb=memory.pss,
        rss_mb=memory.rss,
        processes=memory.processes,
        rest_pss_mb=beside.pss,
        rest_idle_percent=idle,
    )


def _idle_percent(running: _Running) -> float:
    """CPU of everything but the serving processes while nobody asks, in percent of one core."""
    _, rest = running.apart()
    before = sum(cpu_seconds(rest).values())
    time.sleep(_IDLE_SECONDS)
    return (sum(cpu_seconds(rest).values()) - before) / _IDLE_SECONDS * 100


def _answers(launch: Launch, way: Way) -> bool:
    """Whether one row is answered with 200."""
    stored = np.load(launch.forms.rows)
    dialect = DIALECTS[way.dialect]
    body = dialect.body(stored["columns"].tolist(), np.ascontiguousarray(stored["rows"][:1]))
    connection = http.client.HTTPConnection("127.0.0.1", launch.port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", dialect.path, body, {"content-type": "application/json"})
        return connection.getresponse().status == 200
    return False


def _alone(forms: Forms, rows: int, seconds: float) -> float:
    command = [
        sys.executable,
        "-m",
        "benchmarks.serving.scikit_learn_alone",
        str(forms.joblib),
        str(forms.rows),
        str(rows),
    ]
    environment = {**os.environ, **SINGLE_THREADED}
    done = subprocess.run([*command, str(seconds)], cwd=ROOT, env=environment, capture_output=True, check=True)
    return float(done.stdout)
