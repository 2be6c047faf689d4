"""What a release of flights adds to a plain script that trains, logs and registers the same model.

    make bench        (python -m benchmarks.release [ROUNDS])

Both are measured as whole processes, in turn, on a platform of the benchmark's own that is up before the first round
and down after the last. The plain script neither validates, nor gates, nor serves: what Seatrial adds is the price of
that.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
console = Console()


def main(rounds: int) -> None:
    """Measure `rounds` times and print the table."""
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-", dir="/tmp") as name:
        home = Path(name)
        environment = os.environ | {"SEATRIAL_HOME": str(home / "home")}
        plain = f"sqlite:///{home / 'plain.db'}"
        try:
            _run(environment, "flows.entrypoints.cli.main", "up")
            _run(environment, "benchmarks.plain", plain, folder=home)  # migrates its database, as `up` did for ours
            times = [
                (
                    _run(environment, "benchmarks.plain", plain, folder=home),
                    _run(environment, "flows.entrypoints.cli.main", "release", "flights"),
                )
                for _ in range(rounds)
            ]
        finally:
            _run(environment, "flows.entrypoints.cli.main", "down")
    _print(times)


def _run(environment: dict[str, str], module: str, *arguments: str, folder: Path = ROOT) -> float:
    began = time.perf_counter()
    environment = environment | {"PYTHONPATH": str(ROOT), "SEATRIAL_PROJECT": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise SystemExit(f"{module} {' '.join(arguments)} ended with {result.returncode}: {result.stderr[-2000:]}")
    return time.perf_counter() - began


def _print(times: list[tuple[float, float]]) -> None:
    plain, release = (statistics.median(column) for column in zip(*times, strict=True))
    table = Table(
        title=f"Release of flights, January–February 2013: medians of {len(times)} rounds", title_justify="left"
    )
    for column in ("what", "seconds", "all rounds"):
        table.add_column(column)
    table.add_row("plain script (train, log, register)", f"{plain:.1f}", _rounds(each[0] for each in times))
    table.add_row(
        "seatrial release (and validate, gate, serve, shift)", f"{release:.1f}", _rounds(each[1] for each in times)
    )
    console.print(table)
    console.print(f"Seatrial adds {release - plain:.1f} s; ratio {release / plain:.2f}")


def _rounds(seconds: object) -> str:
    return " ".join(f"{each:.1f}" for each in seconds)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
