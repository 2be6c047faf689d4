"""Making Prefect know the flows and the products, in a process of its own; and where it is said what they are."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from deployments.errors import NotFound, PlatformUnreachable
from deployments.local_platform.addresses import Addresses
from deployments.local_platform.environment import environment_with_password
from deployments.settings import Settings

# Beside the sources; in the image, at the top of the environment.
_SHIPPED: Final = (Path(__file__).parents[2] / "prefect.yaml", Path(sys.prefix) / "prefect.yaml")
_SHOWN: Final = 600


@contextmanager
def start_deploying(settings: Settings, addresses: Addresses) -> Iterator[Callable[[], str | None]]:
    """Deploys in a process of its own. What is given says what was done, or None while it is not done yet.

    It raises `PlatformUnreachable` with what the process said where that failed.
    """
    command = [sys.executable, "-m", "flows.entrypoints.runner.prefect_deploy"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command,
            env=os.environ | environment_with_password(settings, addresses),
            cwd=settings.project,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield lambda: _result(process, said)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def prefect_file(settings: Settings) -> tuple[Path, bool]:
    """The prefect.yaml that counts, and whether it is the project's own; else it is the one that came with Seatrial.

    Raises `NotFound` where none did.
    """
    own = settings.project / "prefect.yaml"
    if own.is_file():
        return own, True
    shipped = next((each for each in _SHIPPED if each.is_file()), None)
    if shipped is None:
        raise NotFound(f"there is no prefect.yaml in {settings.project}: copy that of Seatrial's repository there")
    return shipped, False


def spec_files(specs: Path) -> tuple[Path, ...]:
    """The specs of a folder, by the names of their products."""
    return tuple(sorted((*specs.glob("*.yaml"), *specs.glob("*.yml")), key=lambda path: path.stem))


def products_in(specs: Path) -> tuple[str, ...]:
    """Names by which the specs of a folder are found, in alphabetical order."""
    return tuple(sorted({path.stem for path in spec_files(specs)}))


def _result(process: subprocess.Popen[str], said: IO[str]) -> str | None:
    code = process.poll()
    if code is None:
        return None
    said.seek(0)
    told = said.read().strip()
    if code:
        raise PlatformUnreachable(f"the flows were not deployed: {told[-_SHOWN:]}")
    return told
