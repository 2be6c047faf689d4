"""What one small request costs a model server in this checkout, compared with another one.

python -m benchmarks.checkouts OTHER [--rounds N]

Both servers run at once, with the same model and an inference log, and are asked in turn, some requests a time, on one
kept connection each: whatever else the machine does, it does to both. What is compared is the CPU time of the
thread that answers, as the kernel counts it, and of the whole process.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.processes import ROOT
from deployments.request_ids import VARIABLE
from tests.model_folder import ROWS, description_of, frame_of, store, write_model_folder

_BODY = json.dumps({"instances": [{"distance": 1400.5, "hour": 17, "carrier": "UA"}]}).encode()
_REQUEST = (
    b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"x-seatrial-key: u-1234567\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
_LARGEST_ANSWER = 65_536
# Few at a time: what the machine does changes within a tenth of a second.
_REQUESTS = 25
_WARM_ROUNDS = 20


class Server:
    """One that runs from the code in `checkout`, and answers."""

    def __init__(self, checkout: Path, model: Path, place: Path, seals: bool) -> None:
        self._place = place
        place.mkdir(mode=0o700)
        environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        if seals:
            key = place / "requests"
            key.touch(0o600)
            key.write_bytes(bytes(range(32)))
            environment[VARIABLE] = str(key)
        command = [sys.executable, "-m", "deployments.serving", "--model", str(model), "--product", "flights"]
        options = ["--version", "3", "--uds", str(place / "s"), "--log-folder", str(place / "log")]
        with (place / "said").open("wb") as said:
            self._process = subprocess.Popen([*command, *options], cwd=checkout, env=environment, stdout=said)
        while not (place / "s").exists():
            if self._process.poll() is not None:
                raise SystemExit((place / "said").read_text())
            time.sleep(0.05)
        self._connection = socket.socket(socket.AF_UNIX)

    def connect(self) -> None:
        """To be followed by requests at once: a client that says nothing is not waited for."""
        self._connection.connect(str(self._place / "s"))

    def asked(self, times: int) -> tuple[float, float]:
        """CPU microseconds a request: of the thread that answers, and of the whole process."""
        before = self._spent()
        for _ in range(times):
            self._connection.sendall(_REQUEST)
            answer = self._connection.recv(_LARGEST_ANSWER)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise SystemExit(answer.decode())
        after = self._spent()
        return (after[0] - before[0]) / 1000 / times, (after[1] - before[1]) / 1000 / times

    def end(self) -> None:
        """Ends it, whatever it is doing."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _spent(self) -> tuple[int, int]:
        """Nanoseconds that the kernel has counted so far."""
        tasks = Path(f"/proc/{self._process.pid}/task")
        each = {}
        for task in tasks.iterdir():
            with contextlib.suppress(OSError):
                each[int(task.name)] = int((task / "schedstat").read_text().split()[0])
        return each[self._process.pid], sum(each.values())


def _write_neighbors(folder: Path) -> Path:
    """A model that is asked in a thread."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    columns = ColumnTransformer([("numeric", SimpleImputer(), ["distance", "hour"])])
    rows, late = frame_of(ROWS * 5), [False, True] * (len(ROWS) * 5 // 2)
    pipeline = make_pipeline(columns, KNeighborsClassifier()).fit(rows, late)
    description = description_of("flights", "classification", "probability", [False, True])
    return store(folder, pipeline, description, pipeline.predict_proba(frame_of(ROWS)).tolist())


def compared(other: Path, model: Path, rounds: int) -> Iterator[str]:
    """Lines that say what a request costs."""
    with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp") as place, contextlib.ExitStack() as stack:
        servers: list[tuple[str, Server]] = []
        for name, checkout, seals in (("other", other, False), ("here", ROOT, False), ("here, sealed", ROOT, True)):
            servers.append((name, Server(checkout, model, Path(place) / str(len(servers)), seals)))
            stack.callback(servers[-1][1].end)
        for _, server in servers:
            server.connect()
            server.asked(_WARM_ROUNDS * _REQUESTS)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in servers}
        for number in range(rounds):
            for name, server in servers[:: 1 if number % 2 else -1]:
                found[name].append(server.asked(_REQUESTS))
    for name, costs in found.items():
        for part, what in enumerate(("thread", "process")):
            spent = [cost[part] for cost in costs]
            ratios = [cost[part] / base[part] for cost, base in zip(costs, found["other"], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            yield (
                f"{name:14} {what:8} {statistics.median(spent):7.1f} us"
                f"   {middle:.3f} of the other's, half of the rounds {low:.3f} to {high:.3f}"
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints what it found: a model that is compiled, and one that is asked in a thread."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkouts", description="A request, here and there.")
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=400, help=f"of {_REQUESTS} requests each")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        compiled = write_model_folder(Path(folder) / "compiled")
        in_threads = _write_neighbors(Path(folder) / "threads")
        for kind, model in (("compiled", compiled), ("in a thread", in_threads)):
            print(kind)
            for line in compared(options.other.resolve(), model, options.rounds):
                print(" ", line)


if __name__ == "__main__":
    main()
