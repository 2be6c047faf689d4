"""A training table, sent back by the protocols' own clients, gets training's own predictions."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deployments.serving.startup.socket_handover import tcp_listener
from tests.clients.test_clients import CLIENTS, REPOSITORY, ready
from tests.trained_table import Trained, spec_of, trained

pytestmark = pytest.mark.clients
ROWS = 24
COLUMNS: dict[str, list[Any]] = {
    "zip": ["01067", "1067", "80331"] * 8,
    "truth": [True, False, True, True] * 6,
    "id": [10**18 + each % 3 for each in range(ROWS)],
    "price": [0.1, 2.0, 3.25] * 8,
    "word": ["NA", 'say "x"', "ä", "🚲", None, "two\nlines"] * 4,
    "gap": [True, None, False] * 8,
}
NUMBERS: dict[str, list[Any]] = {"number": [1.5, 2.0, None, -0.25] * 6}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    place = tmp_path_factory.mktemp("shop")
    pd.DataFrame(COLUMNS | NUMBERS | {"y": range(ROWS)}).to_parquet(place / "x.parquet")
    return trained(spec_of({"path": str(place / "x.parquet")}, list(NUMBERS), list(COLUMNS)), place)


@pytest.fixture(scope="module")
def url(model: Trained) -> Iterator[str]:
    """A model server of its own process."""
    if not CLIENTS.exists():
        pytest.skip("the clients are not installed: make test-clients")
    with tcp_listener("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    served = ["--model", str(model.folder), "--product", "shop", "--version", "1", "--port", str(port)]
    command = [sys.executable, "-m", "deployments.serving", *served, "--trust", "sklearn.tree._tree.Tree"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as server:
        try:
            yield ready(server, f"http://127.0.0.1:{port}")
        finally:
            server.terminate()


@pytest.mark.parametrize("client", ["triton", "kserve"])
def test_a_table_sent_back_by_a_client_is_what_training_read(client: str, url: str, model: Trained) -> None:
    command = [str(CLIENTS), str(Path(__file__).with_name("table_caller.py")), client, url]
    table = json.dumps(COLUMNS | NUMBERS)
    finished = subprocess.run(command, input=table, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    answers = json.loads(finished.stdout)
    assert len(answers) == 4
    for way, predictions in answers.items():
        assert predictions == model.predictions, way
