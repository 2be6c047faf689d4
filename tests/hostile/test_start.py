"""A start that does not come to its end says in the log what it is at: whoever waits for it has nothing else."""

import subprocess
import sys
import time
from pathlib import Path

from deployments.targets.exit_reason import stage_in
from tests.hostile.odd_model import Stuck, write_odd_model
from tests.hostile.served import REPOSITORY


def test_a_model_that_hangs_while_it_is_loaded(tmp_path: Path) -> None:
    folder, log = write_odd_model(tmp_path / "v3", Stuck), tmp_path / "log"
    model = ["--model", str(folder), "--product", "flights", "--version", "3", "--uds", str(tmp_path / "s")]
    command = [sys.executable, "-m", "deployments.serving", *model, "--trust", "tests.hostile.odd_model.Stuck"]
    with log.open("wb") as said, subprocess.Popen(command, cwd=REPOSITORY, stdout=said) as server:
        try:
            while not stage_in(log).startswith("loading the model"):
                assert server.poll() is None
                time.sleep(0.05)
            assert " MB, begun " in stage_in(log)
        finally:
            server.kill()
