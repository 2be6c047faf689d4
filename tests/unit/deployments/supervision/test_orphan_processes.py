"""A process belongs to the program whose process group it is in, whatever it was forked from."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.supervision.orphan_processes import MARK_VARIABLE, leftovers_of
from deployments.supervision.program import PROGRAM_VARIABLE, TAKES_OVER_VARIABLE


@contextlib.contextmanager
def sleeping(folder: Path, group: int, **variables: str) -> Iterator[int]:
    command = [sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(60)"]
    environment = {MARK_VARIABLE: str(folder), **variables}
    with subprocess.Popen(command, env=environment, process_group=group, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("joins", [True, False])
def test_a_fork_in_the_group_of_a_program_is_left_over_from_that_program(joins: bool, tmp_path: Path) -> None:
    model = {PROGRAM_VARIABLE: "model-a-v1-0", TAKES_OVER_VARIABLE: str(tmp_path / "a.sock")}
    forked_from = {PROGRAM_VARIABLE: "forkserver", TAKES_OVER_VARIABLE: ""}
    with sleeping(tmp_path, 0, **model) as program, sleeping(tmp_path, program if joins else 0, **forked_from) as fork:
        found = {each.process.pid: (each.program, each.takes_over) for each in leftovers_of(tmp_path)}
        expected = ("model-a-v1-0", tmp_path / "a.sock") if joins else ("forkserver", None)
        assert found == {program: ("model-a-v1-0", tmp_path / "a.sock"), fork: expected}
