"""A platform of the tests' own: started once, used through the command line as a user would, ended without a trace."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
# Seconds after which what a command does will not come about; on a busy machine a start alone takes minutes.
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Seatrial:
    """The command line, pointed at a home and a project of its own."""

    home: Path
    project: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment | changed,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            cwd=self.project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.entrypoints.cli.main", *arguments]

    def told(self, *arguments: str) -> Any:
        """What a command says with --json."""
        result = self.run(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def product(self, name: str) -> dict[str, Any]:
        facts: dict[str, Any] = self.told("status", name)["products"][name]
        return facts

    def ask(self, product: str, rows: list[dict[str, Any]]) -> httpx.Response:
        """A prediction request through the gateway."""
        gateway = json.loads((self.home / "platform.json").read_text())["gateway"]
        address = f"http://127.0.0.1:{gateway}/{product}/invocations"
        return httpx.post(address, json={"dataframe_records": rows}, timeout=60, trust_env=False)

    def login(self) -> tuple[str, str]:
        """What Prefect's and MLflow's APIs ask for."""
        return "seatrial", (self.home / "keys" / "prefect").read_text()

    def api(self, part: str = "prefect", path: str = "/api") -> httpx.Client:
        """Whoever knows the password, at Prefect's or MLflow's API."""
        port = json.loads((self.home / "platform.json").read_text())[part]
        base = f"http://127.0.0.1:{port}{path}"
        return httpx.Client(base_url=base, auth=self.login(), timeout=120, trust_env=False)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.home) in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found


def until(condition: Callable[[], bool], seconds: float = _PATIENCE) -> bool:
    """Whether `condition` came true in time; asked four times a second."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.25)
    return True


def seatrial_in(folder: Path) -> Seatrial:
    project = folder / "project"
    (project / "specs").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    ports = {f"SEATRIAL_{part}_PORT": str(free_port()) for part in ("GATEWAY", "PREFECT", "MLFLOW")}
    places = {"SEATRIAL_HOME": str(folder / "home"), "SEATRIAL_PROJECT": str(project)}
    listed = {"SEATRIAL_FEEDBACK_ORIGINS": '["http://shop.example"]', "PYTHONPATH": str(ROOT)}
    return Seatrial(folder / "home", project, environment | ports | places | listed)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            # Longer than whatever one waits for, so that this says what did not come about.
            item.add_marker(pytest.mark.timeout(2 * _PATIENCE), append=False)


@pytest.fixture(scope="session")
def seatrial() -> Iterator[Seatrial]:
    """The platform, up, one for each worker of a run. Afterwards nothing of it may run."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    platform = seatrial_in(folder)
    platform.home.mkdir(mode=0o755)  # as homes of earlier releases were made
    try:
        started = platform.run("up")
        assert started.returncode == 0, started.stderr
        yield platform
    finally:
        platform.run("down")
        left = platform.processes()
        for process in left:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"`seatrial down` left {left}"


SPEC: dict[str, Any] = {
    "data": {
        "source": {"path": "rows.csv"},
        "time_column": "at",
        "key": ["id"],
        "target": "bought",
        "split": {"share": 0.25},
    },
    "validation": {"suite": "suite.json"},
    "preprocessing": {"numeric": {"columns": ["price", "visits"]}, "categorical": {"columns": ["country"]}},
    "model": {
        "task": "classification",
        "estimator": "sklearn.linear_model.LogisticRegression",
        "seed": 1,
        "output": "probability",
    },
    "gate": {
        "thresholds": [{"metric": "roc_auc", "min": 0.7}],
        "against_champion": [{"metric": "roc_auc", "margin": 0.02}],
    },
    # A busy machine takes more than the minute that is usual until a server is ready.
    "rollout": {"replicas": 1, "drain_timeout": "5s", "ready_timeout": "10m"},
}
SUITE = {
    "name": "shop",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "price", "min_value": 0},
            "severity": "critical",
        },
    ],
    "meta": {"seatrial": {"types": {}}},
}


def rows(count: int = 400, seed: int = 0) -> pd.DataFrame:
    """Rows of a shop in which a low price and many visits make a purchase likely."""
    random = np.random.default_rng(seed)
    price = random.uniform(1, 100, count)
    visits = random.integers(0, 20, count)
    chance = 1 / (1 + np.exp(0.06 * price - 0.3 * visits))
    return pd.DataFrame(
        {
            "id": np.arange(count),
            "at": pd.date_range("2026-01-01", periods=count, freq="h"),
            "price": price.round(2),
            "visits": visits,
            "country": random.choice(["FR", "DE", "IT"], count),
            "bought": (random.uniform(size=count) < chance).astype(int),
        }
    )


@dataclass(frozen=True, slots=True)
class Shop:
    """A small product with files of its own, for tests that break things."""

    name: str
    folder: Path
    spec: dict[str, Any]

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.yaml"

    def write(self, frame: pd.DataFrame | None = None) -> "Shop":
        self.folder.mkdir(parents=True, exist_ok=True)
        (rows() if frame is None else frame).to_csv(self.folder / "rows.csv", index=False)
        (self.folder / "suite.json").write_text(json.dumps(SUITE))
        self.file.write_text(yaml.safe_dump({"product": self.name} | self.spec))
        return self


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A product of the test's own name, not written yet."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower()
    return Shop(f"s{abs(hash(name)) % 10**8}", tmp_path, json.loads(json.dumps(SPEC)))
