"""A release under way: followed by its progress, and broken at a chosen moment."""

import contextlib
import queue
import sqlite3
import subprocess
import threading
import time

import psutil

from tests.e2e.conftest import Seatrial

# What a release prints when a stage is over, by the stage that is then at work.
LAST_LINE_BEFORE = {
    "validate": "data.ingested",
    "train": "data.validated",
    "evaluate": "model.trained",
    "register": "gate.passed",
    "plan": "model.registered",
    "launch": "rollout.planned",
    "verify": "step launch",
    "shift": "step verify",
    "promote": "step shift",
    "retire": "step promote",
    "finish": "step drain and retire",
}
WATCHING = "rollout.watched"
_PATIENCE = 600.0


class UnderWay:
    """A command that runs; a release's flow process is a fork of the warm process, or the command itself."""

    def __init__(self, seatrial: Seatrial, *arguments: object, **changed: str) -> None:
        self._warm = _warm_process(seatrial)
        self._others = self._warm.children() if self._warm else []
        self.command = subprocess.Popen(
            # A shell's background job ignores Ctrl-C, and so would all that it starts.
            ["/usr/bin/env", "--default-signal=INT", *seatrial.command(*map(str, arguments))],
            env=seatrial.environment | changed,
            cwd=seatrial.project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._fresh: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, stage: str) -> "UnderWay":
        """Return when `stage` is at work."""
        end = time.monotonic() + _PATIENCE
        while (left := end - time.monotonic()) > 0:
            try:
                if LAST_LINE_BEFORE.get(stage, WATCHING) in self._fresh.get(timeout=min(left, 0.5)):
                    return self
            except queue.Empty:
                assert self._reader.is_alive(), f"it ended before {stage}: {self.said}"
        raise AssertionError(f"{stage} was not reached: {self.said}")

    def flow_process(self) -> psutil.Process:
        """Who carries out the release, once it has said something: a fork of the warm process, or the command."""
        forks: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            forks = [fork for fork in self._warm.children() if fork not in self._others] if self._warm else []
        return forks[0] if forks else psutil.Process(self.command.pid)

    def end(self) -> int:
        """The exit code, once the command has ended."""
        code = self.command.wait(timeout=_PATIENCE)
        self._reader.join(timeout=60)
        return code

    @property
    def said(self) -> str:
        """Standard error so far."""
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.command.stderr is not None
        with self.command.stderr:
            for line in self.command.stderr:
                self.lines.append(line)
                self._fresh.put(line)


def _warm_process(seatrial: Seatrial) -> psutil.Process | None:
    warm = [each for each in of_home(seatrial) if "flows.entrypoints.runner.prefork" in _words(each)]
    pids = {each.pid for each in warm}
    return next((each for each in warm if _parent(each) not in pids), None)


def of_home(seatrial: Seatrial) -> list[psutil.Process]:
    """Every process with the home in its command line or environment, zombies excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            known = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if any(str(seatrial.home) in each for each in known):
            found.append(process)
    return found


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def is_over(process: psutil.Process) -> bool:
    """Whether it has ended, reaped or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def running_in_mlflow(seatrial: Seatrial) -> list[str]:
    """MLflow runs that say they still go on."""
    with contextlib.closing(sqlite3.connect(f"file:{seatrial.home}/mlflow/mlflow.db?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT run_uuid FROM runs WHERE status = 'RUNNING'").fetchall()
    return [row[0] for row in rows]


def running_in_prefect(seatrial: Seatrial, product: str) -> set[str]:
    """Ids of this product's flow runs that Prefect believes to go on."""
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
    with seatrial.api() as api:
        found = api.post("/flow_runs/filter", json=wanted)
    return {run["id"] for run in found.raise_for_status().json() if run["name"].startswith(product)}


def whole(seatrial: Seatrial, product: str) -> int:
    """The champion of a product on which nothing half done is left; whatever is, fails the test."""
    facts = seatrial.product(product)
    champions = [each for each in facts["versions"] if "champion" in each["aliases"]]
    assert [each["version"] for each in champions] == [facts["champion"]]
    champion: int = facts["champion"]
    assert facts["traffic"] == {str(champion): 100}
    assert facts["servers"] == {str(champion): ["ready"]}
    assert champions[0]["status"] == "live"
    for version in facts["versions"]:
        assert "challenger" not in version["aliases"], version
        assert version["status"] in {"live", "retired", "refused", "rolled_back", "registered"}, version
        assert version["metrics"]
        assert version["size_mb"] > 0
        assert len(version["data_fingerprint"]) == 64
    servers = [" ".join(_words(each)) for each in of_home(seatrial) if "deployments.serving" in _words(each)]
    ours = [server for server in servers if f"--product {product} " in server]
    assert len(ours) == 1, ours
    return champion
