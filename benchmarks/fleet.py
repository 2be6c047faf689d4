"""How long `up` and `status` take with many products on one machine, and when each champion serves again.

    python -m benchmarks.fleet [--products 22] [--home FOLDER] [--rounds 5]

Every product is a small logistic regression that is trained, registered and rolled out by the library's own calls, one
server each. Then the platform is ended and started by the command line, and every product is asked through the
gateway until it answers. With `--home` the fleet is made once, and found again by the next run. All listens on loopback
in a folder below /tmp.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pandas as pd
import psutil
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.processes import ROOT, free_port

_ASKED_EVERY: Final = 0.25
_PATIENCE: Final = 600.0
console = Console()


@dataclass(frozen=True, slots=True)
class Fleet:
    """A home with its products."""

    folder: Path
    products: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """Of every process that belongs to it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
        ports: dict[str, str] = json.loads((self.folder / "ports.json").read_text())
        places = {"SEATRIAL_HOME": str(self.folder / "home"), "SEATRIAL_PROJECT": str(self.folder / "project")}
        return kept | ports | places | {"PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str) -> float:
        """Seconds that a command took."""
        began = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-m", "flows.entrypoints.cli.main", *arguments],
            env=self.environment,
            cwd=self.folder / "project",
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)} ended with {result.returncode}: {result.stderr[-2000:]}")
        return time.perf_counter() - began


@dataclass(slots=True)
class Served:
    """When each product answered for the first time, in seconds since the clock was started."""

    fleet: Fleet
    began: float = field(default_factory=time.perf_counter)
    at: dict[str, float] = field(default_factory=dict)

    def watch(self) -> None:
        """Until all did, or ten minutes are over."""
        while len(self.at) < len(self.fleet.products) and time.perf_counter() - self.began < _PATIENCE:
            for product in self.fleet.products:
                if product not in self.at and _answers(self.fleet, product):
                    self.at[product] = time.perf_counter() - self.began
            time.sleep(_ASKED_EVERY)


def _answers(fleet: Fleet, product: str) -> bool:
    with contextlib.suppress(OSError, httpx.HTTPError, ValueError):
        gateway = json.loads((fleet.folder / "home" / "platform.json").read_text())["gateway"]
        row = {"dataframe_records": [{"price": 1.0, "visits": 3, "country": "FR"}]}
        address = f"http://127.0.0.1:{gateway}/{product}/invocations"
        return httpx.post(address, json=row, timeout=5, trust_env=False).status_code == 200
    return False


def seed(folder: Path, count: int) -> None:
    """Makes the products that are not there yet. Runs in a process of its own, with the fleet's environment."""
    from deployments import wiring
    from deployments.clock import SystemClock
    from deployments.settings import current
    from deployments.strategies.plan import Goal
    from tasks.datasets.snapshot import load_snapshot, take_snapshot
    from tasks.datasets.split import split_by_time
    from tasks.gate.scoring import Scores
    from tasks.models.train import DataFacts, train, version_facts
    from tasks.rollout_engine.carrier import Carrier
    from tasks.rollout_engine.takeover import Wish, begin
    from tasks.spec_file import load_product

    known = set(wiring.registry().products())
    for name in names(count):
        if name in known and wiring.registry().champion(name) is not None:
            continue
        spec = load_product(_written(folder / "project" / "specs", name))
        snapshot = take_snapshot(spec, current().snapshots)
        trained = train(spec, split_by_time(load_snapshot(snapshot), spec.data), DataFacts(snapshot), current())
        facts = version_facts(trained, spec, snapshot, Scores({"roc_auc": 0.9}, {}), SystemClock().now())
        version = wiring.registry().register(name, trained.run_id, trained.model_uri, facts).version
        doors = wiring.doors(spec.rollout)
        wish = Wish(f"{name}-1", name, version, spec.rollout, spec.rollout.strategy, Goal.PROMOTE)
        state = begin(wish, doors)
        carrier = Carrier(doors)
        while state.live:
            state = carrier.advance(state)
        console.print(f"{name} v{version}: {state.phase.value}")


def names(count: int) -> tuple[str, ...]:
    """Of the products."""
    return tuple(f"shop-{number:02}" for number in range(1, count + 1))


def _written(specs: Path, name: str) -> Path:
    specs.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(int(name[-2:]))
    price, visits = random.uniform(1, 100, 400).round(2), random.integers(0, 20, 400)
    frame = pd.DataFrame(
        {
            "price": price,
            "visits": visits,
            "country": random.choice(["FR", "DE", "IT"], 400),
            "bought": (random.uniform(size=400) < 1 / (1 + np.exp(0.06 * price - 0.3 * visits))).astype(int),
        }
    )
    frame.to_csv(specs / f"{name}.csv", index=False)
    spec: dict[str, Any] = {
        "product": name,
        "description": f"Does somebody buy in {name}?",
        "data": {"source": {"path": f"{name}.csv"}, "target": "bought"},
        "validation": {"suite": f"{name}.suite.json"},
        "preprocessing": {"numeric": {"columns": ["price", "visits"]}, "categorical": {"columns": ["country"]}},
        "model": {"task": "classification", "estimator": "sklearn.linear_model.LogisticRegression"},
        "gate": {"thresholds": [{"metric": "roc_auc", "min": 0.6}]},
        "rollout": {"ready_timeout": "10m", "drain_timeout": "5s"},
    }
    path = specs / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def _cpu_seconds(fleet: Fleet) -> float:
    """Of all processes of the fleet that run now: unlike wall-clock time it bears other work on the machine."""
    found = 0.0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(fleet.folder) in " ".join([*process.cmdline(), process.environ().get("SEATRIAL_HOME", "")]):
                found += sum(process.cpu_times()[:2])
    return found


@contextlib.contextmanager
def _fleet(home: Path | None, count: int) -> Iterator[Fleet]:
    with contextlib.ExitStack() as stack:
        made = home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stf-", dir="/tmp")))
        (made / "project" / "specs").mkdir(parents=True, exist_ok=True)
        if not (made / "ports.json").exists():
            ports = {f"SEATRIAL_{part}_PORT": str(free_port()) for part in ("GATEWAY", "PREFECT", "MLFLOW")}
            (made / "ports.json").write_text(json.dumps(ports))
        fleet = Fleet(made, names(count))
        stack.callback(fleet.run, "down")
        began = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.fleet", "--seed", str(made), "--products", str(count)]
        subprocess.run(command, env=fleet.environment, cwd=ROOT, check=True)
        console.print(f"{count} products are there after {time.perf_counter() - began:.0f} s")
        yield fleet


def measure(fleet: Fleet, rounds: int) -> None:
    """Ends the platform, starts it, and prints the table."""
    fleet.run("down")
    served = Served(fleet)
    watching = threading.Thread(target=served.watch)
    watching.start()
    up = fleet.run("up")
    watching.join()
    cpu = _cpu_seconds(fleet)
    again = fleet.run("up")
    status = statistics.median(fleet.run("status") for _ in range(rounds))
    one = statistics.median(fleet.run("status", fleet.products[0]) for _ in range(rounds))
    table = Table(
        "what", "seconds", title=f"{len(fleet.products)} products, {os.cpu_count()} cores", title_justify="left"
    )
    at = sorted(served.at.values())
    for what, seconds in (
        ("`seatrial up` returns", up),
        ("the first champion answers", at[0]),
        ("half of the champions answer", at[len(at) // 2]),
        ("all champions answer", at[-1]),
        ("processor time of all processes until then", cpu),
        ("`seatrial up` when all is up", again),
        (f"`seatrial status`, median of {rounds}", status),
        (f"`seatrial status {fleet.products[0]}`", one),
    ):
        table.add_row(what, f"{seconds:.1f}")
    console.print(table)


def main() -> None:
    """By the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet")
    parser.add_argument("--products", type=int, default=22)
    parser.add_argument("--home", type=Path, help="an absolute folder to make the fleet in, or to find it in")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seed:
        seed(options.seed, options.products)
        return
    with _fleet(options.home, options.products) as fleet:
        measure(fleet, options.rounds)


if __name__ == "__main__":
    main()
