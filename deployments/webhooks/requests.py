"""What a webhook asks for, and what is refused before anything is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from deployments.errors import BadInput

FRESH_FOR: Final = timedelta(minutes=5)

# Names in small letters, each once.
Headers = Mapping[str, str]


class Action(StrEnum):
    """All that a webhook can start."""

    RELEASE = "release"  # train, judge and roll out
    ROLLOUT = "rollout"  # roll a registered version out, without training


class NotTaken(BadInput):
    """A request that is not stored, with the HTTP status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Signed:
    """A request of whoever has the key. `identity` is the same for a repetition, and only for one: it is signed.

    `delivery` is what the sender calls it, `sent_at` its signed time; None where the protocol has none.
    """

    identity: str
    delivery: str
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a delivery asks for. `version` is that of a rollout, `rule` what let it in, `reason` says it to people.

    `at` is when what it tells of happened.
    """

    action: Action
    version: int | None
    rule: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Nothing:
    """A genuine delivery that asks for nothing here, and why."""

    why: str


def check_fresh(at: datetime, now: datetime, patience: timedelta = FRESH_FOR) -> None:
    """Raises `NotTaken` for a time older than `patience`, or more than five minutes ahead of `now`."""
    if at > now + FRESH_FOR:
        raise NotTaken(401, f"its time is {_minutes(at - now)} ahead of {now:%H:%M:%S} UTC, {_CLOCKS}")
    if at < now - patience:
        raise NotTaken(401, f"its time is {_minutes(now - at)} behind {now:%H:%M:%S} UTC, {_CLOCKS}")


_CLOCKS: Final = "which this machine's clock shows: check the clocks of both machines"


def _minutes(age: timedelta) -> str:
    return f"{min(age, timedelta(days=9999)).total_seconds() / 60:,.1f} min"


def only(headers: Headers, *names: str) -> tuple[str, ...]:
    """The values of headers that must be there. Raises `NotTaken` that names the first which is not."""
    for name in names:
        if not headers.get(name):
            raise NotTaken(401, f"the header {name} is missing")
    return tuple(headers[name] for name in names)
