"""A platform for measuring: a real Envoy and the real engine over light servers, all of it in one temporary folder."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.answers import Answers
from benchmarks.light_server import LABEL
from benchmarks.light_target import ROOT, LightTarget
from benchmarks.load import PRODUCT
from benchmarks.processes import free_port, process, wait_for
from deployments.analysis.evidence import Block
from deployments.clock import SystemClock
from deployments.journals.database import DatabaseJournal
from deployments.journals.protocol import Lease
from deployments.metrics.composite import live_metrics
from deployments.metrics.feedback.store import FeedbackLedger
from deployments.registry import VersionFacts
from deployments.registry.in_memory import InMemoryRegistry
from deployments.rollout.state import Phase, RolloutState
from deployments.routers.envoy import EnvoyRouter, prepare
from deployments.wiring import Doors

_FACTS = VersionFacts(
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    model_type="classification",
    algorithm="benchmarks.light_server",
    hyperparameters={},
    data_fingerprint="0" * 64,
    metrics={},
    size_mb=0.0,
    manifest={},
    spec_digest="0" * 64,
)


class TimedJournal(DatabaseJournal):
    """A journal that remembers when each candidate first had users, and was first told to go back.

    `asked` and `given_up` are by rollout id, in seconds of the machine's monotonic clock, taken before it is written.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: dict[str, float] = {}
        self.given_up: dict[str, float] = {}

    def save(self, state: RolloutState, lease: Lease, block: Block | None = None) -> None:
        """See `Journal.save`."""
        if state.split is not None and state.split.weights.of(state.candidate):
            self.asked.setdefault(state.rollout_id, time.monotonic())
        if state.phase is Phase.RESTORING:
            self.given_up.setdefault(state.rollout_id, time.monotonic())
        super().save(state, lease, block)


@dataclass(frozen=True, slots=True)
class Stage:
    """The doors, those of them that the benchmark itself asks, and the gateway's port."""

    doors: Doors
    target: LightTarget
    registry: InMemoryRegistry
    journal: TimedJournal
    folder: Path
    port: int

    def new_version(self) -> int:
        """One more version in the registry."""
        return self.registry.add(PRODUCT, _FACTS, self.folder).version


@dataclass(slots=True)
class UnderLoad:
    """A running load. `answers` is None until it was stopped."""

    rate: float
    began: float
    answers: Answers | None = None

    @property
    def due(self) -> int:
        """Requests that were due until now."""
        return int((time.monotonic() - self.began) * self.rate)


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """Everything is up inside the block, and gone after it."""
    with tempfile.TemporaryDirectory(prefix="sts-", dir="/tmp") as name, contextlib.ExitStack() as running:
        folder, clock, port = Path(name), SystemClock(), free_port()
        sample = {"request": {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}, "predictions": [LABEL]}
        (folder / "verification.json").write_text(json.dumps(sample))
        target, registry = LightTarget(folder), InMemoryRegistry()
        running.callback(target.end_all)
        command = prepare(folder / "gateway", folder, "127.0.0.1", port)
        running.enter_context(process(command, folder / "gateway.log"))
        wait_for(port)
        router = EnvoyRouter(folder / "gateway", folder, clock, folder / "gateway.log")
        url = f"sqlite:///{folder / 'journal.db'}"
        journal, ledger = TimedJournal(url), FeedbackLedger(url)
        running.callback(journal.close)
        running.callback(ledger.close)

        def servers(product: str) -> Mapping[int, Sequence[str]]:
            return {
                version: [replica.address for replica in target.replicas(product, version)]
                for version in target.versions(product)
            }

        metrics = live_metrics((router.tallies, router.copies), servers, ledger, clock, router.users)
        doors = Doors(router, target, journal, registry, metrics, clock, folder, lambda: None)
        yield Stage(doors, target, registry, journal, folder, port)


@contextlib.contextmanager
def load(on: Stage, rate: float, *options: str) -> Iterator[UnderLoad]:
    """Requests come in at `rate` a second inside the block; what became of them is known after it.

    `options` are further ones of `benchmarks.load`.
    """
    file = on.folder / f"answers-{time.monotonic_ns()}.npz"
    command = [sys.executable, "-m", "benchmarks.load", str(on.port), str(rate), str(file), *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, start_new_session=True)
    assert process.stdout is not None
    try:
        running = UnderLoad(rate, float(process.stdout.readline()))
        yield running
        process.communicate(timeout=60)
        running.answers = Answers.read(file)
    finally:
        process.kill()
        process.wait()
