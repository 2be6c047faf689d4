"""Two sequential tests by other people, each asked in an environment of its own."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.evidence.crowd import SHARE, Seen
from benchmarks.processes import ROOT
from benchmarks.serving.environments import python_of

_HERE = Path(__file__).parent
NAMES = {"growthbook": "GrowthBook (gbstats 0.8.0)", "lindon_malek": "savvi 0.3.1"}


@dataclass(slots=True)
class Peer:
    """One of them, running. To be used in a `with`; making its environment may raise `NotInstalled`."""

    name: str
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        python = python_of(self.name, _HERE / "requirements")
        script = _HERE / "rivals" / f"{self.name}.py"
        self._process = subprocess.Popen(
            [str(python), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=30)

    def rolls_back(self, looks: Sequence[Seen]) -> int | None:
        """At which of these looks, counted from 1; None: at none."""
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        told = [
            {"users": each.users, "total": each.total, "squares": each.squares, "fell": each.fell} for each in looks
        ]
        self._process.stdin.write(json.dumps({"share": SHARE, "looks": told}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return None if answer is None else int(answer)
