"""Seatrial's model server beside four others, side by side on this machine.

    python -m benchmarks.serving [--quick] [--only NAME …] [--rounds N] [--render]

A whole run takes an hour, writes `results.json` here, and puts tables and plot into the documentation.
`--quick` measures one model with one row in two minutes, `--only` some of the servers; neither touches the
documentation. `--render` makes tables and plot anew from the last whole run. The first run makes an environment for
each rival below `.seatrial/bench` (1.8 GB). Ctrl-C ends all that was started.
"""

import argparse
import os
import platform
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import sklearn
from rich.console import Console

from benchmarks.processes import ROOT
from benchmarks.serving.entrants import ENTRANTS
from benchmarks.serving.models import MODELS
from benchmarks.serving.plot import draw
from benchmarks.serving.report import PLOT, document, relative, show
from benchmarks.serving.results import Results, read
from benchmarks.serving.rounds import Plan, Rounds

WHOLE = Path(__file__).parent / "results.json"
SAMPLE = ROOT / ".seatrial" / "bench" / "results.json"
_LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ROWS = (1, 32, 1_000)


def main() -> int:
    """Measures, prints and writes; 1 if somebody could not be measured, 130 after Ctrl-C."""
    options = _options()
    console = Console()
    if options.render:
        _publish(read(WHOLE), console)
        return 0
    for number in _LEAVING:
        signal.signal(number, _leave)
    entrants = [each for each in ENTRANTS if each.name in (options.only or [each.name])]
    rounds = Rounds(entrants, _plan(options), console)
    rounds.results.conditions = _conditions(options)
    try:
        interrupted = _was_interrupted(rounds)
    finally:
        rounds.results.write(SAMPLE)
    whole = not (options.quick or options.only or interrupted)
    if whole:
        rounds.results.write(WHOLE)
        _publish(rounds.results, console)
    else:
        show(rounds.results, console)
    console.print(f"written to {relative(WHOLE if whole else SAMPLE)}", highlight=False)
    return 130 if interrupted else int(bool(rounds.results.failed))


def _was_interrupted(rounds: Rounds) -> bool:
    """Measures; whether Ctrl-C or a like signal came before the end."""
    try:
        rounds.run()
    except KeyboardInterrupt:
        return True
    return False


def _publish(results: Results, console: Console) -> None:
    show(results, console)
    document(results)
    draw(results, PLOT)


def _plan(options: argparse.Namespace) -> Plan:
    if options.quick:
        return Plan(MODELS[:1], _ROWS[:1], rounds=options.rounds or 2, closed=1.5, open=3.0)
    return Plan(MODELS, _ROWS, rounds=options.rounds or 4, closed=2.5, open=4.0)


def _conditions(options: argparse.Namespace) -> dict[str, str]:
    plan = _plan(options)
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        "on": f"{os.cpu_count()} shared cores, {_processor()}",
        "Python": platform.python_version(),
        "scikit-learn": f"{sklearn.__version__} everywhere",
        "medians of": f"{plan.rounds} rounds (latency: {plan.rounds - 1})",
        "each time": f"{plan.closed:g} s for CPU, {plan.open:g} s or more for latency",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="one model, one row, two minutes")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in ENTRANTS], help="some of the servers")
    parser.add_argument("--rounds", type=int, help="how often everybody is started and asked")
    parser.add_argument("--render", action="store_true", help="tables and plot anew, from the last whole run")
    return parser.parse_args()


def _leave(_: int, __: FrameType | None) -> None:
    for number in _LEAVING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
