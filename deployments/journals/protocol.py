"""The door to the record of what was decided and done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from deployments.analysis.evidence import Block
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import RolloutState


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `kind` is a dotted word such as `gate.refused`, `detail` its facts (JSON)."""

    product: str
    run: str
    at: datetime
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the journal has it; `key` is of no other event of this journal."""

    key: str
    event: Event


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change one product's traffic. `token` grows with each holder, so that a late writer is refused."""

    product: str
    holder: Owner
    token: int


class Journal(Protocol):
    """Keeps rollouts and events, for ever or as long as it says; grants one writer per product."""

    @property
    def orders_every(self) -> timedelta:
        """How often `orders` may be asked without being a burden to whoever keeps them."""
        ...

    def acquire(self, product: str, holder: Owner, now: datetime, ttl: timedelta, above: int = 0) -> Lease:
        """The lease on a product until `now + ttl`; again for the same holder renews it.

        A lease whose holder is known to be gone is taken over with a higher token, and one of a holder of which nothing
        can be known from here once its time is over (see `Owner.keeps`). Tokens also grow from one journal to the next,
        as clocks do; one that is to be `above` another, seen elsewhere, is so for the same holder, too.
        Raises `Busy` while somebody else holds it.
        """
        ...

    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> None:
        """The lease lasts until `now + ttl`, unless it was given back or taken over: then `Busy` is raised.

        May be called from another thread than everything else.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Give the lease back; nothing happens if somebody else has it by now."""
        ...

    def save(self, state: RolloutState, lease: Lease, block: Block | None = None) -> None:
        """Write a rollout's state durably before this returns, and append a block of its evidence: both or neither.

        Raises `Busy` if the lease was given back or taken over.
        """
        ...

    def rollout(self, product: str, rollout_id: str) -> RolloutState:
        """One rollout as it is now. Raises `NotFound` for an unknown one."""
        ...

    def rollouts(self, product: str, newest: int | None = None) -> tuple[RolloutState, ...]:
        """All rollouts of a product, newest first; the `newest` so many alone, unless that is None."""
        ...

    def holder(self, product: str, now: datetime) -> Owner | None:
        """Who may change the product's traffic; None: nobody, the holder is gone or not heard of within its time."""
        ...

    def under_way(self) -> tuple[RolloutState, ...]:
        """The rollouts of all products that have not ended, oldest first."""
        ...

    def newest(self) -> tuple[RolloutState, ...]:
        """The newest rollout of every product, by the products' names; one that cannot be read is left out."""
        ...

    def evidence(self, rollout_id: str, skip: int = 0) -> tuple[Block, ...]:
        """The blocks of a rollout, oldest first; without the first `skip`, for whoever has read these."""
        ...

    def give(self, rollout_id: str, verb: Verb, who: str, reason: str, at: datetime) -> Order:
        """Write down a person's order for whoever carries the rollout; returns it with its number."""
        ...

    def orders(self, rollout_id: str, after: int = 0) -> tuple[Order, ...]:
        """The orders for a rollout whose number is greater than `after`, in the order they were given."""
        ...

    def record(self, event: Event) -> None:
        """Append an event durably."""
        ...

    def events(self, product: str | None = None, newest: int | None = None) -> tuple[Event, ...]:
        """Events in the order they were recorded; of all products for None, those in the order of their times.

        The `newest` so many alone, unless that is None.
        """
        ...

    def events_after(self, position: str | None) -> tuple[tuple[Recorded, ...], str]:
        """What was recorded since a position, and the position behind it; for None nothing, and the present end.

        In the order of each product; of a database at most some hundred at once. An event may come again, but none is
        left out: what two processes record at one moment may become readable the wrong way round. A position of another
        journal is the beginning of this one.
        """
        ...
