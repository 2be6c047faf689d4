"""Real clusters of processes on this machine, each with two workers that can import from `project/`."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

BIN = Path(sys.executable).parent
REPOSITORY = Path(__file__).parents[2]
PROJECT = Path(__file__).with_name("project")
# Ray takes nobody without the token, whatever else there is on this machine; read when Ray is imported.
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def eventually(holds: Callable[[], Any], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.2)


@contextmanager
def running(*commands: list[str], folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended with all their descendants."""
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{PROJECT}"}
    log = (folder / "cluster.log").open("ab")
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            started += [subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)]
        yield started
    finally:
        log.close()
        family = [each for process in started for each in descendants(process.pid)]
        for process in started:
            process.send_signal(signal.SIGCONT)
        for process in reversed(started):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            for process in started:
                process.wait(15)
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        for process in started:
            process.kill()
            process.wait()


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


class Dask:
    """A scheduler, and two workers with a core each."""

    name = "dask"

    def __init__(self, address: str, processes: list[subprocess.Popen[bytes]]) -> None:
        self.address = address
        self._processes = processes

    def lose_the_head(self) -> None:
        self._processes[0].send_signal(signal.SIGKILL)

    def freeze(self) -> None:
        self._processes[0].send_signal(signal.SIGSTOP)

    def is_idle(self) -> bool:
        """No work, nothing kept, and no client but the one that asks."""

        def left(dask_scheduler: Any) -> tuple[int, int]:
            return len(dask_scheduler.tasks), len(dask_scheduler.clients.keys() - {"fire-and-forget"})

        tasks, clients = self._asked(lambda client: client.run_on_scheduler(left))
        return (tasks, clients) == (0, 1)

    def _asked(self, question: Callable[[Any], Any]) -> Any:
        from distributed import Client

        with Client(self.address, set_as_default=False, timeout=30) as client:
            return question(client)


class Ray:
    """A head node with two CPUs."""

    name = "ray"

    def __init__(self, address: str, processes: list[subprocess.Popen[bytes]]) -> None:
        self.address = address
        self._processes = processes

    def lose_the_head(self) -> None:
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def is_idle(self) -> bool:
        """Both CPUs are free."""
        import ray

        try:
            ray.init(self.address, log_to_driver=False)
            return ray.available_resources().get("CPU", 0) == 2
        except ConnectionError:  # its server for one client does not start as quickly as clients come
            return False
        finally:
            ray.shutdown()

    def _signal(self, number: int) -> None:
        for process in (*descendants(self._processes[0].pid), self._processes[0]):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


@contextmanager
def dask(folder: Path, workers: int = 2, protocol: str = "tcp") -> Iterator[Dask]:
    port = free_port()
    address = f"{protocol}://127.0.0.1:{port}"
    program = str(BIN / "dask")
    scheduler = [program, "scheduler", "--host", address, "--no-dashboard", "--no-show"]
    options = ["--nworkers", str(workers), "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    commands = [scheduler, [program, "worker", address, *options]] if workers else [scheduler]
    with running(*commands, folder=folder) as processes:
        cluster = Dask(address, processes)
        eventually(lambda: listens(port))
        eventually(lambda: len(cluster._asked(lambda client: client.ncores())) == workers)
        yield cluster


@contextmanager
def ray(folder: Path, cpus: int = 2) -> Iterator[Ray]:
    port = free_port()
    command = [
        *(str(BIN / "ray"), "start", "--head", "--block", "--num-cpus", str(cpus), "--include-dashboard=false"),
        *("--node-ip-address", "127.0.0.1", "--port", str(free_port()), "--ray-client-server-port", str(port)),
        *("--temp-dir", str(folder), "--object-store-memory", "200000000"),
    ]
    with running(command, folder=folder) as processes:
        eventually(lambda: listens(port))
        yield Ray(f"ray://127.0.0.1:{port}", processes)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
