"""The import contracts hold, and each fails on a planted violation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "deployments")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_contracts_hold(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout
    assert " 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("deployments/rollout/planted.py", "import tasks.product_spec", "nothing points back"),
        ("tasks/planted.py", "import flows.release", "nothing points back"),
        ("deployments/journals/planted.py", "import deployments.wiring", "the direction is fixed"),
        ("deployments/planted.py", "", "every module has its place"),
        ("flows/entrypoints/runner/planted.py", "import flows.entrypoints.cli.main", "entrypoints are rooms"),
        ("flows/entrypoints/control_service/planted.py", "import flows.entrypoints.cli.main", "entrypoints are rooms"),
        ("deployments/routers/planted.py", "import prefect", "never import Prefect"),
        ("flows/planted.py", "import pandas", "no client and no arithmetic"),
        ("deployments/strategies/planted.py", "import time", "the rollout engine is pure"),
        ("deployments/routers/planted.py", "import deployments.targets", "doors do not know each other"),
        ("tasks/data_validation/planted.py", "import mlflow", "one module talks to the model registry"),
        ("deployments/routers/planted.py", "import kubernetes", "one module talks to clusters"),
        ("deployments/serving/planted.py", "import mlflow", "a process of its own"),
    ],
)
def test_a_planted_violation_is_caught(copy: Path, module: str, line: str, contract: str) -> None:
    planted = copy / module
    planted.write_text(f"{line}\n")
    try:
        result = lint(copy)
    finally:
        planted.unlink()
    assert result.returncode != 0
    broken = [told for told in result.stdout.splitlines() if told.endswith("BROKEN")]
    assert any(contract in told for told in broken), result.stdout
