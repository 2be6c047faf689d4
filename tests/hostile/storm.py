"""A storm of hostile requests against one server, and what is held against it."""

import contextlib
import gzip
import http.client
import random
import re
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field

from tests.hostile.bodies import SECRETS, Case, case_of, names_in
from tests.hostile.framing import words_of
from tests.hostile.served import Served, posted

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_BETWEEN_LOOKS = 250
_PATIENCE_SECONDS = 0.03


@dataclass
class Storm:
    """What was sent, by kind, and how it was answered; `wrong` says what must not be."""

    sent: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"sent {sum(self.sent.values())}: {dict(self.sent)}\nanswered {dict(sorted(self.answered.items()))}"


def storm(served: Served, seconds: float, seed: int) -> Storm:
    """Sends one hostile request after the other, and now and then looks whether the server is well."""
    told, chance, end = Storm(), random.Random(seed), time.monotonic() + seconds
    kept = served.connection(10)
    with contextlib.closing(kept):
        while time.monotonic() < end and len(told.wrong) < 5:
            if chance.random() < 0.9:
                _send(case_of(chance), kept, told)
            else:
                _say(*words_of(chance), served, told)
            if sum(told.sent.values()) % _BETWEEN_LOOKS == 0:
                _look(served, told)
    _look(served, told)
    return told


def _send(case: Case, kept: http.client.HTTPConnection, told: Storm) -> None:
    told.sent[case.kind] += 1
    try:
        answer = posted(kept, case.path, case.body, **case.headers)
    except (OSError, http.client.HTTPException) as error:
        kept.close()
        told.wrong.append(f"{case}: {error!r}")
        return
    told.answered[str(answer.status)] += 1
    if answer.status >= 500 and answer.status != 503:
        told.wrong.append(f"{case}: {answer.status} {answer.content[:500]!r}")
    if answer.status >= 400 and b'"request_id"' not in answer.content:
        told.wrong.append(f"{case}: a refusal without a request id: {answer.content[:500]!r}")
    if leak := _leak(answer.content + str(answer.headers).encode(), names_in(_plain(case))):
        told.wrong.append(f"{case}: {leak} came back: {answer.content[:500]!r}")


def _say(kind: str, words: list[bytes], served: Served, told: Storm) -> None:
    told.sent[kind] += 1
    heard = b""
    with served.socket(_PATIENCE_SECONDS) as client:
        with contextlib.suppress(OSError):
            for word in words:
                client.sendall(word)
        with contextlib.suppress(OSError):
            while part := client.recv(1_000_000):
                heard += part
    statuses = [status.decode() for status in _STATUS.findall(heard)] or ["nothing"]
    told.answered.update(statuses)
    if any(status.startswith("5") and status != "503" for status in statuses):
        told.wrong.append(f"{kind} {words!r:.2000}: {statuses}")
    if leak := _leak(heard):
        told.wrong.append(f"{kind} {words!r:.2000}: {leak} came back in {heard!r:.2000}")


def _look(served: Served, told: Storm) -> None:
    told.looks += 1
    if not served.lives:
        told.wrong.append(f"the server is gone: {served.said()[-2000:]}")
        return
    try:
        if not served.answers_rightly():
            told.wrong.append("a healthy request was not answered rightly")
    except (OSError, http.client.HTTPException) as error:
        told.wrong.append(f"a healthy request was not answered: {error!r}")


def _leak(heard: bytes, but: str = "") -> str:
    """A secret in what was heard, unless the caller had made a name of it."""
    found = [secret.decode() for secret in SECRETS if secret in heard and secret.decode() not in but]
    return ", ".join(found)


def _plain(case: Case) -> bytes:
    body = case.body
    for unpack in (gzip.decompress, zlib.decompress):
        with contextlib.suppress(OSError, EOFError, zlib.error):
            return unpack(body)
    length = case.headers.get("inference-header-content-length", "")
    return body[: int(length)] if length.isdigit() else body
