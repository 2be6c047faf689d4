"""A terminal in which a test types what a page shows."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.pages import ROOT

BIN = Path(sys.executable).parent
_FOREIGN = ("SEATRIAL_", "PREFECT_", "MLFLOW_")


class Terminal:
    """A shell that keeps its folder and its variables from one command to the next.

    `places` stand here instead of those of the page: ports that are free, folders of the test's.
    """

    def __init__(self, folder: Path, places: Mapping[str, str], **environment: str) -> None:
        self._places, self._variables, self._where = dict(places), folder / ".variables", folder / ".where"
        self._where.write_text(str(folder))
        here = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        here |= {"PATH": f"{BIN}:{here['PATH']}", "PYTHONPATH": str(ROOT)}
        self._environment = here | environment

    @property
    def folder(self) -> Path:
        """Where the last command left it."""
        return Path(self._where.read_text().strip())

    def type(self, command: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        for shown, here in self._places.items():
            command = command.replace(shown, here)
        known = f'cd "{self.folder}"; set -a; [ ! -f {self._variables} ] || . {self._variables}; set -o pipefail\n'
        kept = f"code=$?; export -p > {self._variables}; pwd > {self._where}; exit $code\n"
        typed = ["bash", "-c", known + command + "\n" + kept]
        return subprocess.run(
            typed, env=self._environment, capture_output=True, text=True, timeout=seconds, check=False
        )

    def start(self, command: str) -> subprocess.Popen[str]:
        """Run it beside what follows; whoever starts it ends it."""
        for shown, here in self._places.items():
            command = command.replace(shown, here)
        typed = ["bash", "-c", f"exec {command}"]
        return subprocess.Popen(typed, env=self._environment, cwd=self.folder, stdout=subprocess.PIPE, text=True)
