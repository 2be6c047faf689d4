"""Light servers as processes of the benchmark: started, asked and ended as `deployments.targets.process` does it."""

import contextlib
import http.client
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from deployments.clock import Clock
from deployments.errors import TargetUnreachable
from deployments.supervision import UnixConnection
from deployments.targets.protocol import POLL, Answer, Launch, Replica, ReplicaState

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a version does to its users: the share of errors, and the share that it keeps waiting for `slow_ms`.

    `cut` is the share whose connection ends without an answer, `die` the share that ends the process, and `leak_mb`
    what is kept of each in memory that does not suffice for many.
    A healthy one is slow now and then too, so that answers are owed whenever traffic moves or a server goes.
    """

    errors: float = 0.0
    slow: float = 0.005
    slow_ms: float = 500.0
    cut: float = 0.0
    die: float = 0.0
    leak_mb: int = 0


class LightTarget:
    """Runs light servers on Unix sockets in `folder`, one process a replica (see `Target`).

    `behaviours` says which versions are not healthy; it is read when they are launched.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[tuple[str, int], list[tuple[Path, subprocess.Popen[bytes]]]] = {}
        self.behaviours: dict[int, Behaviour] = {}

    def launch(self, launch: Launch, token: int | None = None) -> None:
        """See `Target`. Nobody else writes here: tokens do not count."""
        del token
        running = self._servers.setdefault((launch.product, launch.version), [])
        _end(running[launch.replicas :], timedelta(seconds=30))
        del running[launch.replicas :]
        for index in range(launch.replicas):
            if index < len(running) and running[index][1].poll() is None:
                continue
            running[index : index + 1] = [self._started(launch.product, launch.version, index)]

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        """See `Target`."""
        return tuple(_replica(path, process) for path, process in self._servers.get((product, version), ()))

    def wait(self, product: str, version: int, within: timedelta, clock: Clock) -> None:
        """See `Target`."""
        clock.sleep(min(within, POLL))

    def versions(self, product: str) -> tuple[int, ...]:
        """See `Target`."""
        return tuple(sorted(version for owner, version in self._servers if owner == product))

    def newest_token(self, product: str) -> int:
        """See `Target`: nobody is fenced here."""
        del product
        return 0

    def unsettled(self, product: str, version: int) -> str:
        """See `Target`."""
        del product, version
        return ""

    def ask(self, replica: Replica, path: str, body: bytes, media_type: str = "application/json") -> Answer:
        """See `Target`."""
        try:
            return _requested(replica.address, "POST", path, body, media_type)
        except (OSError, http.client.HTTPException) as error:
            raise TargetUnreachable(f"{replica.name} does not answer ({error!r})") from error

    def retire(self, product: str, version: int, drain: timedelta, token: int | None = None) -> None:
        """See `Target`. A server that is still answering after `drain` is killed."""
        del token
        _end(self._servers.get((product, version), []), drain)
        self._servers.pop((product, version), None)

    def end_all(self) -> None:
        """Every server is gone when this returns."""
        for product, version in tuple(self._servers):
            self.retire(product, version, timedelta(seconds=5))

    def _started(self, product: str, version: int, index: int) -> tuple[Path, subprocess.Popen[bytes]]:
        path = self._folder / f"{product}-v{version}-{index}.sock"
        path.unlink(missing_ok=True)
        behaviour = self.behaviours.get(version, Behaviour())
        module = [sys.executable, "-m", "benchmarks.light_server", str(path), str(version)]
        slow = ["--slow", str(behaviour.slow), "--slow-ms", str(behaviour.slow_ms)]
        harm = ["--cut", str(behaviour.cut), "--die", str(behaviour.die), "--leak", str(behaviour.leak_mb)]
        options = ["--errors", str(behaviour.errors), *slow, *harm]
        # A session of its own: Ctrl-C is for the benchmark, which then ends its servers itself.
        return path, subprocess.Popen([*module, *options], cwd=ROOT, start_new_session=True)


def _replica(path: Path, process: subprocess.Popen[bytes]) -> Replica:
    if process.poll() is not None:
        return Replica(path.stem, str(path), ReplicaState.FAILED, f"exit code {process.returncode}")
    try:
        ready = _requested(str(path), "GET", "/v2/health/ready").status == 200
    except (OSError, http.client.HTTPException):
        ready = False
    return Replica(path.stem, str(path), ReplicaState.READY if ready else ReplicaState.STARTING)


def _requested(
    address: str, method: str, path: str, body: bytes | None = None, media_type: str = "application/json"
) -> Answer:
    with contextlib.closing(UnixConnection(Path(address), 10.0)) as connection:
        connection.request(method, path, body, {"content-type": media_type})
        response = connection.getresponse()
        return Answer(response.status, response.read())


def _end(servers: list[tuple[Path, subprocess.Popen[bytes]]], drain: timedelta) -> None:
    until = time.monotonic() + drain.total_seconds()
    for _, process in servers:
        process.send_signal(signal.SIGTERM)
    for path, process in servers:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        path.unlink(missing_ok=True)
