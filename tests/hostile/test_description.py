"""The OpenAPI description taken at its word, by Schemathesis."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.served import serving_on_port

# A schema cannot say that tensors are as long as their shapes, nor that columns are equally long.
NOT_CHECKED = "positive_data_acceptance"
# Schemathesis does not count 413 by itself.
SETTINGS = "[checks.negative_data_rejection]\nexpected-statuses = [400, 404, 405, 413, 415, 422]\n"


def judged(model: Path, product: str, folder: Path, *options: str) -> str:
    """What Schemathesis says of a server, after it has found nothing wrong."""
    (folder / "schemathesis.toml").write_text(SETTINGS)
    with serving_on_port(model, product=product) as served:
        url = f"http://127.0.0.1:{served.port}/openapi.json"
        usual = ["--checks", "all", "--exclude-checks", NOT_CHECKED, "--suppress-health-check", "all", "--no-color"]
        command = [sys.executable, "-m", "schemathesis.cli", "run", url, *usual, "--generation-database", "none"]
        finished = subprocess.run(
            [*command, *options],
            cwd=folder,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout[-8_000:] + finished.stderr
        assert served.lives
        assert "request failed" not in served.said()
    return finished.stdout


def cases(said: str) -> int:
    [(generated, passed)] = re.findall(r"(\d+) generated, (\d+) passed", said)
    assert generated == passed
    return int(passed)


def test_what_the_server_says_of_itself_is_true(model: Path, tmp_path: Path) -> None:
    assert cases(judged(model, "flights", tmp_path, "--max-examples", "5", "--seed", "7")) > 100


@pytest.mark.hostile
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("columns", ["numbers and categories", "numbers"])
def test_it_stays_true_however_often_it_is_asked(
    columns: str, seed: int, model: Path, numbers: Path, tmp_path: Path
) -> None:
    folder, product = (numbers, "tumours") if columns == "numbers" else (model, "flights")
    said = judged(folder, product, tmp_path, "--max-examples", "150", "--seed", str(seed))
    print(f"{columns}, seed {seed}: {cases(said)} cases")
