"""Plays past rows to a product's gateway as live requests, and keeps what came back.

Rows that were scheduled in the same quarter of an hour go in one request, as an airline's own system would ask.
Nothing is retried: every answer that is not 200, and every broken connection, counts as failed.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pandas as pd

from tasks.datasets.snapshot import load_rows
from tasks.product_spec import ProductSpec

_CLIENTS = 4
_TOGETHER = "15min"


@dataclass(slots=True)
class Replay:
    """What came back. `scores` and `labels` hold one entry a row answered, by the version that answered."""

    requests: int = 0
    failed: int = 0
    rows: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    labels: dict[str, list[int]] = field(default_factory=dict)

    def auc(self, version: str) -> float:
        """ROC AUC of a version's live predictions, once the truth is known."""
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(self.labels[version], self.scores[version]))

    def latency_ms(self, percent: float) -> float:
        """Percentile of the time a request took, in milliseconds."""
        return float(np.percentile(self.latencies_ms, percent)) if self.latencies_ms else float("nan")


@dataclass(frozen=True, slots=True)
class Batch:
    """One request's body, and the truth about its rows."""

    body: bytes
    labels: list[int]


def batches(spec: ProductSpec, data: Path, start: str, end: str) -> list[Batch]:
    """The rows of [start, end) as requests, in the order in which they happened."""
    time_column = spec.data.time_column or ""
    frame = load_rows(data)
    moments = pd.to_datetime(frame[time_column], utc=True)
    frame = frame[(moments >= pd.Timestamp(start, tz="UTC")) & (moments < pd.Timestamp(end, tz="UTC"))]
    moments = pd.to_datetime(frame[time_column], utc=True).dt.floor(_TOGETHER)
    return [_batch(rows, spec) for _, rows in frame.groupby(moments, sort=True)]


def play(address: str, requests: list[Batch], tell: Any = None) -> Replay:
    """Send all requests once, as fast as four clients get answers; `tell` is given the share done, now and then."""
    replay = Replay()
    asyncio.run(
        _send(
            address, iter(requests), replay, threading.Event(), lambda: tell and tell(replay.requests / len(requests))
        )
    )
    return replay


class Background:
    """Live traffic that goes on, round and round, while something else happens."""

    def __init__(self, address: str, requests: list[Batch]) -> None:
        self.replay = Replay()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, requests), daemon=True)

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self, address: str, requests: list[Batch]) -> None:
        asyncio.run(_send(address, _for_ever(requests), self.replay, self._over, lambda: None, pause=0.02))


def _for_ever(requests: list[Batch]) -> Iterator[Batch]:
    while True:
        yield from requests


def _batch(rows: pd.DataFrame, spec: ProductSpec) -> Batch:
    features = rows[list(spec.preprocessing.features)]
    split = {
        "columns": list(features.columns),
        "data": features.astype(object).where(features.notna(), None).to_numpy().tolist(),
    }
    body = orjson.dumps({"dataframe_split": split}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Batch(body, [int(label) for label in rows[spec.data.target]])


async def _send(
    address: str, requests: Iterator[Batch], replay: Replay, over: threading.Event, tell: Any, pause: float = 0.0
) -> None:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        await asyncio.gather(
            *(_one_client(client, address, requests, replay, over, tell, pause) for _ in range(_CLIENTS))
        )


async def _one_client(  # noqa: PLR0913, PLR0917 - the state of one loop
    client: httpx.AsyncClient,
    address: str,
    requests: Iterator[Batch],
    replay: Replay,
    over: threading.Event,
    tell: Any,
    pause: float,
) -> None:
    for batch in requests:
        if over.is_set():
            return
        began = time.perf_counter()
        try:
            answer = await client.post(address, content=batch.body, headers={"content-type": "application/json"})
        except httpx.HTTPError:
            replay.requests += 1
            replay.failed += 1
            continue
        replay.latencies_ms.append((time.perf_counter() - began) * 1000)
        _note(replay, batch, answer)
        tell()
        if pause:
            await asyncio.sleep(pause)


def _note(replay: Replay, batch: Batch, answer: httpx.Response) -> None:
    replay.requests += 1
    if answer.status_code != 200:
        replay.failed += 1
        return
    version = f"v{answer.headers['x-seatrial-version']}"
    replay.rows += len(batch.labels)
    replay.versions[version] += 1
    replay.labels.setdefault(version, []).extend(batch.labels)
    replay.scores.setdefault(version, []).extend(row[-1] for row in answer.json()["predictions"])
