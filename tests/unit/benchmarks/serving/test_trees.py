import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.serving.trees import NotStarted, cpu_seconds, started, wait_until

# A parent whose child ignores SIGTERM; the child's id goes to standard output.
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
PARENT = (
    "import subprocess, sys, time; "
    f"print(subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]).pid, flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def short_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.serving.trees._GOODBYE_SECONDS", 0.5)


def test_a_child_that_outlives_its_parent_is_ended_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started([sys.executable, "-c", PARENT], {}, log) as tree:
        wait_until(lambda: "deaf" in log.read_text(), tree, log, 60)
        child = psutil.Process(int(log.read_text().split()[0]))
        tree.processes()
        os.kill(tree.root.pid, signal.SIGKILL)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_server_that_ends_before_it_is_ready_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        started([sys.executable, "-c", "raise SystemExit('no such model')"], {}, log) as tree,
        pytest.raises(NotStarted, match="no such model"),
    ):
        wait_until(lambda: False, tree, log, 60)


def test_cpu_of_a_child_counts(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass\nprint('did', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    log = tmp_path / "log"
    with started([sys.executable, "-c", parent], {}, log) as tree:
        wait_until(lambda: "did" in log.read_text(), tree, log, 60)
        spent = cpu_seconds(tree.processes())
        assert sum(seconds for process, seconds in spent.items() if process != tree.root) > 0.15
