"""`make demo`: four releases of a real product under live traffic: one arrives as a canary, two are stopped.

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

from deployments.local_platform.lifecycle import live_addresses
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
    _chapter("3  The first half of March 2013 as live traffic")
    march = _replay_march()
    story.add("replay of March", _served(march), _quality(march))
    with Background(_address(), batches(load_product(SPEC), DATA, "2013-04-01", "2013-05-01")) as traffic:
        _chapter("4  A challenger trained on fresher data, as a canary in April's traffic: 5, 10, 25, 50, 100 %")
        canary = _release(["flights", "--window", FRESHER, "--strategy", "canary"])
        story.add("canary flights, February–March", canary, _last_reason("rollout.done"))
        _chapter("5  An ensemble, just as good in every test: too slow for users, as only the canary can see")
        slow = _release([str(_slow_spec()), "--window", FRESHER, "--strategy", "canary"])
        story.add("canary flights, a big ensemble", slow, _last_reason("rollout.rolled_back"))
    april = traffic.replay
    story.add("April's traffic meanwhile", _served(april), _quality(april))
    _chapter("6  A sabotaged candidate: a faulty join gave the training rows each other's features")
    sabotaged = _release([str(_sabotaged_spec()), "--window", FRESHER])
    story.add("release flights, sabotaged", sabotaged, _last_reason("release.refused"))
    _tell(story)
    as_it_should = (
        march.failed == april.failed == 0 and slow.startswith("rolled back") and sabotaged.startswith("refused")
    )
    return 0 if as_it_should and "serves all traffic" in canary else 1


def _release(arguments: list[str]) -> str:
    began = time.monotonic()
    code = _seatrial("release", *(arguments or ["flights"]))
    seconds = f"{time.monotonic() - began:.1f} s"
    match code:
        case 0:
            return f"v{_status()['champion']} serves all traffic ({seconds})"
        case 3:
            return f"refused ({seconds}); v{_status()['champion']} serves as before"
        case 4:
            return f"rolled back ({seconds}); v{_status()['champion']} serves as before"
        case _:
            return f"exit code {code} ({seconds})"


def _replay_march() -> Replay:
    requests = batches(load_product(SPEC), DATA, "2013-03-01", "2013-03-16")
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        shown = bar.add_task(f"{len(requests):,} requests", total=1.0)
        return play(
            _address(), requests, lambda share: bar.update(shown, completed=share, description=f"{share:.0%} of March")
        )


def _slow_spec() -> Path:
    """The spec with 30 calibrated models, all of which are asked about each row."""
    document = _document()
    document["model"] |= {
        "estimator": "sklearn.calibration.CalibratedClassifierCV",
        "parameters": {"cv": 30},
    }
    return _written(document, "flights-slow.yaml")


def _sabotaged_spec() -> Path:
    """A copy of the spec whose data carry a fault that no look at single columns can see."""
    import pandas as pd

    folder = current().home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.read_parquet(DATA)
    spec = load_product(SPEC)
    features = [name for name in spec.preprocessing.features if name not in spec.data.key]  # a key given twice shows
    moments = pd.to_datetime(frame["scheduled_at"], utc=True)
    learnt = np.flatnonzero(
        (
            (moments >= pd.Timestamp("2013-02-01", tz="UTC")) & (moments < pd.Timestamp("2013-03-18", tz="UTC"))
        ).to_numpy()
    )
    shuffled = np.random.default_rng(13).permutation(learnt)
    for name in features:
        column = frame[name].to_numpy(copy=True)
        column[learnt] = column[shuffled]
        frame[name] = column
    frame.to_parquet(folder / "flights-sabotaged.parquet")
    document = _document()
    document["data"]["source"] = {"path": str(folder / "flights-sabotaged.parquet")}
    return _written(document, "flights-sabotaged.yaml")


def _document() -> dict[str, Any]:
    """The spec of flights, for a file in another folder."""
    document: dict[str, Any] = yaml.safe_load(SPEC.read_text())
    document["data"]["source"] = {"path": str(DATA)}
    document["validation"]["suite"] = str((SPEC.parent / document["validation"]["suite"]).resolve())
    return document


def _written(document: dict[str, Any], name: str) -> Path:
    path = current().home / "demo" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _seatrial(*arguments: str) -> int:
    console.print(f"[dim]$ seatrial {' '.join(arguments)}[/dim]", soft_wrap=True)
    return subprocess.run(
        [sys.executable, "-m", "flows.entrypoints.cli.main", *arguments], cwd=ROOT, check=False
    ).returncode


def _asked(*arguments: str) -> Any:
    command = [sys.executable, "-m", "flows.entrypoints.cli.main", *arguments, "--json"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def _status() -> dict[str, Any]:
    facts: dict[str, Any] = _asked("status", "flights")["products"]["flights"]
    return facts


def _last_reason(event: str) -> str:
    """Why the last thing of this kind happened, in its last line."""
    found = [entry for entry in _asked("history", "flights", "--limit", "1000") if entry["event"] == event]
    return found[-1]["reason"].splitlines()[-1].strip() if found else ""


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
        f"\nLook around:  seatrial open prefect ({addresses.url('prefect')})"
        f" · seatrial open mlflow ({addresses.url('mlflow')})\n"
        "Go on:        seatrial history flights · seatrial rollback flights · seatrial release bikeshare\n"
        "End it:       make down",
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
