"""Great Expectations in a process of its own: its import costs seconds, which here pass while other work goes on.

`warm` starts the process early; `validate_in_child` uses it. The process reads one request from its standard input and
ends; when its parent dies, it reads the end of the input and ends as well.
"""

import pickle
import subprocess
import sys
from pathlib import Path

from deployments.errors import GiveUp, SeatrialError
from tasks.data_validation.report import ValidationReport
from tasks.data_validation.validate import validate_snapshot
from tasks.product_spec import ProductSpec, Window

_warm: list[subprocess.Popen[bytes]] = []


def warm() -> None:
    """Start the process now, so that a later `validate_in_child` finds it ready."""
    if not _warm and not _is_here():
        _warm.append(_start())


def validate_in_child(snapshot: Path, spec: ProductSpec, window: Window | None) -> ValidationReport:
    """The report of `suite.validate_snapshot`, made in the child. Raises what the child raised on purpose."""
    if _is_here():
        return validate_snapshot(snapshot, Path(spec.validation.suite), spec, window)
    child = _warm.pop() if _warm else _start()
    try:
        output, errors = child.communicate(pickle.dumps((snapshot, Path(spec.validation.suite), spec, window)))
    except BaseException:  # an interruption: nobody waits for its answer any more
        child.kill()
        child.wait()
        raise
    if child.returncode != 0:
        said = errors.decode(errors="replace").strip()[-500:]
        raise GiveUp(f"the process that validates ended with exit code {child.returncode}: {said}")
    answer = pickle.loads(output)  # noqa: S301 - our own child's answer
    if isinstance(answer, SeatrialError):
        raise answer
    return answer  # type: ignore[no-any-return]


def _is_here() -> bool:
    """Whether this process has paid for the import already (a fork of the platform's warm process has)."""
    return "great_expectations" in sys.modules


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.data_validation"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the terminal is the parent's to answer
    )
