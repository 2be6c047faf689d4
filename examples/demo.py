"""`make demo`: three releases of a real product, one of them refused, with live traffic in between.

It calls the same `seatrial` commands that you would, and leaves the platform up.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from deployments.platform.local import live_addresses
from deployments.settings import current
from examples.replay import Background, Replay, batches, play
from tasks.spec_file import load_product

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "specs" / "flights.yaml"
DATA = ROOT / "data" / "flights.parquet"
FRESHER = "2013-02-01..2013-04-01"
console = Console(highlight=False)


@dataclass(slots=True)
class Story:
    """What happened, a row each."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def add(self, what: str, outcome: str, detail: str = "") -> None:
        """Remember and go on."""
        self.rows.append((what, outcome, detail))


def main() -> int:
    """Run the demonstration; 0 when everything ended as it should."""
    story = Story()
    _chapter("1  The platform: Envoy, Prefect and MLflow on this machine")
    if _seatrial("up") != 0:
        return 1
    _chapter("2  Release flights, trained on January and February 2013")
    story.add("release flights, January–February", _release([]))
    _chapter("3  March 2013 as live traffic")
    march = _replay_march()
    story.add("replay of March", _served(march), _quality(march))
    _chapter("4  A challenger trained on fresher data (February–March), while April's traffic goes on")
    outcome, april = _release_under_traffic()
    story.add("release flights, February–March", outcome)
    story.add("April's traffic meanwhile", _served(april), _quality(april))
    _chapter("5  A sabotaged candidate: a faulty join gave the training rows each other's features")
    sabotaged = _release([str(_sabotaged_spec()), "--window", FRESHER])
    story.add("release flights, sabotaged", sabotaged, _last_reason())
    _tell(story)
    return 0 if march.failed == april.failed == 0 and sabotaged.startswith("refused") else 1


def _release(arguments: list[str]) -> str:
    began = time.monotonic()
    code = _seatrial("release", *(arguments or ["flights"]))
    seconds = f"{time.monotonic() - began:.1f} s"
    match code:
        case 0:
            return f"v{_status()['champion']} serves all traffic ({seconds})"
        case 3:
            return f"refused ({seconds}); v{_status()['champion']} serves as before"
        case _:
            return f"exit code {code} ({seconds})"


def _replay_march() -> Replay:
    requests = batches(load_product(SPEC), DATA, "2013-03-01", "2013-04-01")
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        shown = bar.add_task(f"{len(requests):,} requests", total=1.0)
        return play(
            _address(), requests, lambda share: bar.update(shown, completed=share, description=f"{share:.0%} of March")
        )


def _release_under_traffic() -> tuple[str, Replay]:
    april = batches(load_product(SPEC), DATA, "2013-04-01", "2013-05-01")
    with Background(_address(), april) as traffic:
        outcome = _release(["flights", "--window", FRESHER])
        time.sleep(2)  # let the new champion be asked for a moment before the traffic ends
    return outcome, traffic.replay


def _sabotaged_spec() -> Path:
    """A copy of the spec whose data carry a fault that no look at single columns can see."""
    import pandas as pd

    document = yaml.safe_load(SPEC.read_text())
    folder = current().home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.read_parquet(DATA)
    spec = load_product(SPEC)
    features = [name for name in spec.preprocessing.features if name not in spec.data.key]  # a key given twice shows
    moments = pd.to_datetime(frame["scheduled_at"], utc=True)
    learnt = np.flatnonzero(((moments >= "2013-02-01") & (moments < "2013-03-18")).to_numpy())
    shuffled = np.random.default_rng(13).permutation(learnt)
    for name in features:
        column = frame[name].to_numpy(copy=True)
        column[learnt] = column[shuffled]
        frame[name] = column
    frame.to_parquet(folder / "flights-sabotaged.parquet")
    document["data"]["source"] = {"path": str(folder / "flights-sabotaged.parquet")}
    document["validation"]["suite"] = str((SPEC.parent / document["validation"]["suite"]).resolve())
    (folder / "flights-sabotaged.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder / "flights-sabotaged.yaml"


def _seatrial(*arguments: str) -> int:
    console.print(f"[dim]$ seatrial {' '.join(arguments)}[/dim]", soft_wrap=True)
    return subprocess.run([sys.executable, "-m", "flows.entrypoints.cli", *arguments], cwd=ROOT, check=False).returncode


def _asked(*arguments: str) -> Any:
    command = [sys.executable, "-m", "flows.entrypoints.cli", *arguments, "--json"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def _status() -> dict[str, Any]:
    facts: dict[str, Any] = _asked("status", "flights")["products"]["flights"]
    return facts


def _last_reason() -> str:
    refusals = [entry for entry in _asked("history", "flights") if entry["event"] == "release.refused"]
    return refusals[-1]["reason"].splitlines()[-1].strip() if refusals else ""


def _address() -> str:
    return f"{live_addresses(current()).url('gateway')}/flights/invocations"


def _served(replay: Replay) -> str:
    by_version = ", ".join(f"{version} {count:,}" for version, count in sorted(replay.versions.items()))
    return f"{replay.requests:,} requests ({by_version}), {replay.failed} failed"


def _quality(replay: Replay) -> str:
    aucs = ", ".join(f"{version} AUC {replay.auc(version):.3f}" for version in sorted(replay.versions))
    return f"{replay.rows:,} flights, {aucs}; p50 {replay.latency_ms(50):.1f} ms, p99 {replay.latency_ms(99):.1f} ms"


def _chapter(title: str) -> None:
    console.print(f"\n[bold]{title}[/bold]", soft_wrap=True)


def _tell(story: Story) -> None:
    _chapter(f"What happened, in {time.monotonic() - story.began:.0f} s")
    table = Table(show_edge=False, pad_edge=False)
    for column in ("what", "outcome", "detail"):
        table.add_column(column, overflow="fold")
    for row in story.rows:
        table.add_row(*row)
    console.print(table)
    console.print()
    _seatrial("status")
    addresses = live_addresses(current())
    console.print(
        f"\nLook around:  Prefect {addresses.url('prefect')}   MLflow {addresses.url('mlflow')}\n"
        "Go on:        seatrial history flights · seatrial rollback flights · seatrial release bikeshare\n"
        "End it:       make down",
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
