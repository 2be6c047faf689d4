"""What model servers tell of themselves: their predictions by bin, and their latest answers.

`deployments.serving.app` answers the two paths that are asked.
"""

import http.client
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from deployments.analysis.evidence import Counts
from deployments.analysis.readings import Source
from deployments.errors import MetricsUnreachable
from deployments.supervision import UnixConnection

# Product to the addresses of its servers by version: socket paths or `host:port`.
Servers = Callable[[str], Mapping[int, Sequence[str]]]

_TIMEOUT_SECONDS = 2.0
_ASKED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """One answer: `mirrored` ones reached no user; `predicted` is a label or number a row, None when it failed."""

    request_id: str
    mirrored: bool
    predicted: tuple[str | float, ...] | None


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of one server, oldest first.

    `epoch` is its start, `last` the number of its newest answer, `next` the number to go on from.
    """

    epoch: str
    last: int
    next: int
    answers: tuple[ServerAnswer, ...]


class ServerCounts:
    """What the servers of a product predicted for users, each server a source of its own."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def counts(self, product: str) -> Mapping[Source, Counts]:
        """Rows by predicted label or bin, since each server's start; a server that does not answer is left out.

        Raises whatever `servers` raises when nobody knows which servers there are.
        """
        every = [(version, address) for version, known in self._servers(product).items() for address in known]
        if not every:
            return {}
        with ThreadPoolExecutor(min(_ASKED_AT_ONCE, len(every))) as pool:
            told = pool.map(_counts_of, every)
            return {source: counts for found in told for source, counts in found}


def answers_of(address: str, after: int, limit: int) -> Answers:
    """The oldest of a server's latest paired or mirrored answers that are numbered above `after`.

    Raises `MetricsUnreachable` when it does not answer, or not as a model server does.
    """
    told = _told(address, f"/seatrial/answers?after={after}&limit={limit}")
    try:
        rows = [(int(number), _answer(*rest)) for number, *rest in told["answers"]]
        return Answers(
            str(told["epoch"]), int(told["last"]), rows[-1][0] if rows else after, tuple(answer for _, answer in rows)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(address, error) from error


def _counts_of(server: tuple[int, str]) -> Iterable[tuple[Source, Counts]]:
    version, address = server
    with suppress(MetricsUnreachable):
        told = _told(address, "/seatrial/counts")
        try:
            counted = {str(name): int(count) for name, count in told["predictions"].items()}
            source = Source(version, f"server {told['epoch']}", datetime.fromisoformat(told["began"]))
            return [(source, Counts(predictions=counted))]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _strange(address, error) from error
    return []


def _answer(request_id: str, mirrored: bool, predicted: Sequence[str | float] | None) -> ServerAnswer:
    return ServerAnswer(request_id, mirrored, None if predicted is None else tuple(predicted))


def _told(address: str, path: str) -> Any:
    try:
        with closing(_connection(address)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        if response.status != 200:
            raise ValueError(f"it answers {response.status} to {path}")
        return json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise MetricsUnreachable(
            f"the model server at {address} does not tell its counts ({error!r}): see `seatrial status`"
        ) from error


def _connection(address: str) -> http.client.HTTPConnection:
    if "/" in address:
        return UnixConnection(Path(address), _TIMEOUT_SECONDS)
    return http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)


def _strange(address: str, error: Exception) -> MetricsUnreachable:
    return MetricsUnreachable(
        f"what listens at {address} is no model server of ours ({error!r}): see `seatrial status`"
    )
