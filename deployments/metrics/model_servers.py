"""What model servers tell of themselves: their predictions by bin, and their latest answers.

`deployments.serving.management_api` answers the two paths that are asked.
"""

import http.client
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.errors import MetricsUnreachable
from deployments.supervision import UnixConnection

T = TypeVar("T")
# Product to the addresses of its servers by version: socket paths, `host:port`, or whatever `Ask` understands.
Servers = Callable[[str], Mapping[int, Sequence[str]]]
# Address and path to the code and body of the answer. Raises `MetricsUnreachable` where there is none.
Ask = Callable[[str, str], tuple[int, bytes]]

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


@dataclass(frozen=True, slots=True)
class KeyedAnswer:
    """What became of one request of a user with a sticky key, of which `user` is the salted hash.

    `latency` and `given_up` are buckets of `LATENCY_BOUNDS_MS`, None where there was no answer, or it was not given up.
    `predicted` are the shares of labels or bins among its rows.
    """

    request_id: str
    user: str
    failed: bool
    latency: int | None
    given_up: int | None
    predicted: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class KeyedAnswers:
    """The same of one server, oldest first; `dropped` are those in between that it has forgotten already."""

    epoch: str
    last: int
    next: int
    answers: tuple[KeyedAnswer, ...]
    dropped: int


def ask_directly(address: str, path: str) -> tuple[int, bytes]:
    """An `Ask` for servers that this machine reaches."""
    try:
        with closing(_connection(address)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _silent(address, error) from error


class ServerCounts:
    """What the servers of a product predicted for users, each server a source of its own."""

    def __init__(self, servers: Servers, ask: Ask = ask_directly) -> None:
        self._servers, self._ask = servers, ask

    def counts(self, product: str) -> Mapping[Source, Counts]:
        """Answered requests by predicted label or bin, since each server's start; who does not answer is left out.

        Those of users with a key are told apart, as a source of their own. A server that does not know them, as they
        did not once, tells all as if they had one: so nobody's answers count as many.

        Raises whatever `servers` raises when nobody knows which servers there are.
        """
        told = collect_counts(self._ask, self._servers(product), _predictions)
        return {source: counts for each in told for source, counts in each.items()}


def collect_counts(
    ask: Ask, servers: Mapping[int, Sequence[str]], understood: Callable[[Source, Any], T]
) -> Sequence[T]:
    """What `understood` makes of the counts of each server that answers, a source each; several are asked at once."""
    every = [(version, address) for version, known in servers.items() for address in known]
    if not every:
        return []
    with ThreadPoolExecutor(min(_ASKED_AT_ONCE, len(every))) as pool:
        found = pool.map(partial(_counts_of, ask, understood), every)
        return [each for some in found for each in some]


def answers_of(address: str, after: int, limit: int, ask: Ask = ask_directly) -> Answers:
    """The oldest of a server's latest paired or mirrored answers that are numbered above `after`.

    Raises `MetricsUnreachable` when it does not answer, or not as a model server does.
    """
    told = _told(ask, address, f"/seatrial/answers?after={after}&limit={limit}")
    try:
        rows = [(int(number), _answer(*rest)) for number, *rest in told["answers"]]
        return Answers(
            str(told["epoch"]), int(told["last"]), rows[-1][0] if rows else after, tuple(answer for _, answer in rows)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(address, error) from error


def keyed_answers_of(address: str, after: int, limit: int, salt: str, ask: Ask = ask_directly) -> KeyedAnswers:
    """The oldest of what users with a sticky key got last, numbered above `after`; `salt` is of letters and digits.

    Raises `MetricsUnreachable` when the server does not answer, or not as a model server does.
    """
    told = _told(ask, address, f"/seatrial/users?after={after}&limit={limit}&salt={salt}")
    try:
        rows = [(int(number), _keyed_answer(*rest)) for number, *rest in told["answers"]]
        last, dropped = int(told["last"]), int(told["dropped"])
        following = rows[-1][0] if rows else after
        return KeyedAnswers(str(told["epoch"]), last, following, tuple(answer for _, answer in rows), dropped)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _strange(address, error) from error


def log_losses(addresses: Iterable[str], ask: Ask = ask_directly) -> Mapping[str, int]:
    """Rows that the inference logs of servers lost since they began, by reason; who does not answer is left out."""
    lost: dict[str, int] = {}
    for address in addresses:
        try:
            for reason, rows in _told(ask, address, "/seatrial/log")["dropped"].items():
                lost[str(reason)] = lost.get(str(reason), 0) + int(rows)
        except (MetricsUnreachable, KeyError, TypeError, ValueError, AttributeError):
            continue
    return lost


def predictions_in(told: Any) -> Mapping[str, float]:
    """Answered requests by predicted label or bin, of what a server tells; the rows of one request share in one.

    Nothing of a server that counts rows, as they did once: the two say different things.
    """
    if told.get("predictions_of") != "requests":
        return {}
    return {str(name): float(count) for name, count in told["predictions"].items()}


def _predictions(source: Source, told: Any) -> Mapping[Source, Counts]:
    every = predictions_in(told)
    keyed = {str(name): float(count) for name, count in told.get("keyed_predictions", every).items()}
    rest = {name: count - keyed.get(name, 0.0) for name, count in every.items() if count > keyed.get(name, 0.0)}
    return {
        source: Counts(predictions=rest),
        replace(source, keyed=True): Counts(predictions={name: keyed[name] for name in keyed if name in every}),
    }


def _counts_of(ask: Ask, understood: Callable[[Source, Any], T], server: tuple[int, str]) -> Sequence[T]:
    """None, or one."""
    version, address = server
    try:
        told = _told(ask, address, "/seatrial/counts")
        source = Source(version, f"server {told['epoch']}", datetime.fromisoformat(told["began"]))
        return [understood(source, told)]
    except (MetricsUnreachable, KeyError, TypeError, ValueError, AttributeError):
        return []


def _answer(request_id: str, mirrored: bool, predicted: Sequence[str | float] | None) -> ServerAnswer:
    return ServerAnswer(request_id, mirrored, None if predicted is None else tuple(predicted))


def _keyed_answer(request: str, user: str, failed: bool, latency: Any, given_up: Any, predicted: Any) -> KeyedAnswer:
    shares = {str(label): float(share) for label, share in predicted.items()}
    return KeyedAnswer(str(request), str(user), bool(failed), latency, given_up, shares)


def _told(ask: Ask, address: str, path: str) -> Any:
    status, body = ask(address, path)
    try:
        if status != 200:
            raise ValueError(f"it answers {status} to {path}")
        return json.loads(body)
    except ValueError as error:
        raise _silent(address, error) from error


def _connection(address: str) -> http.client.HTTPConnection:
    if "/" in address:
        return UnixConnection(Path(address), _TIMEOUT_SECONDS)
    return http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)


def _silent(address: str, error: Exception) -> MetricsUnreachable:
    return MetricsUnreachable(
        f"the model server at {address} does not tell its counts ({error!r}): see `seatrial status`"
    )


def _strange(address: str, error: Exception) -> MetricsUnreachable:
    return MetricsUnreachable(
        f"what listens at {address} is no model server of ours ({error!r}): see `seatrial status`"
    )
