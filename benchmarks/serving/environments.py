"""An environment for each rival, made once by uv from pinned versions and reused until these change."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ROOT

_REQUIREMENTS = Path(__file__).parent / "requirements"
_FOLDER = ROOT / ".seatrial" / "bench"


def python_of(name: str, requirements: Path = _REQUIREMENTS) -> Path:
    """The Python of a rival's environment, pinned in `requirements`. Raises `NotInstalled` with what uv said last."""
    pinned = requirements / f"{name}.txt"
    if not pinned.exists():
        return Path(sys.executable)
    environment = _FOLDER / name
    python, made_from = environment / "bin" / "python", environment / "made-from.txt"
    if not made_from.exists() or made_from.read_bytes() != pinned.read_bytes():
        shutil.rmtree(environment, ignore_errors=True)
        _run_uv("venv", "--python", sys.executable, str(environment))
        _run_uv("pip", "install", "--compile-bytecode", "--python", str(python), "--requirements", str(pinned))
        shutil.copyfile(pinned, made_from)
    return python


def pinned_version(name: str, package: str) -> str | None:
    """The version of a package in a rival's environment."""
    pinned = (_REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    return next((line.split()[0].partition("==")[2] for line in pinned if line.startswith(f"{package}==")), None)


class NotInstalled(Exception):
    """A rival cannot be had on this machine; the message says why."""


def _run_uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run([uv, *arguments, "--quiet"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(done.stderr[-1_500:])
