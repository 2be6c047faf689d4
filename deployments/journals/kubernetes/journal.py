"""The journal in a cluster: which calls make a promise of `Journal` true."""

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import merge
from threading import Lock
from typing import Any, Final

from deployments.analysis.evidence import Block, block_from_json, block_to_json
from deployments.cluster import MANAGER, ApiUnreachable, Cluster, errors_as, labels_of
from deployments.cluster.object_names import KIND, MANAGED_BY, PRODUCT, ROLLOUT, safe_label
from deployments.cluster.resource_kinds import CONFIG_MAP
from deployments.errors import JournalUnreachable
from deployments.journals.kubernetes.append_log import Head, Lines
from deployments.journals.kubernetes.leases import Leases
from deployments.journals.protocol import Event, Lease, Recorded
from deployments.journals.refusals import is_over, is_unknown
from deployments.journals.state_codec import read_state, readable, write_state
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import RolloutState

EVENTS_KEPT: Final = 5_000
ROLLOUTS_KEPT: Final = 100
_LIVE: Final = "seatrial.dev/live"
_reached = errors_as(JournalUnreachable, "the journal in the cluster")


class ClusterJournal:
    """The contract of `Journal` in a namespace.

    The cluster's store is not made to grow for ever. Of each product stay the newest `EVENTS_KEPT` events and
    `ROLLOUTS_KEPT` rollouts that ended, with their evidence and orders, and a little more; what happened since the
    oldest event of a rollout that has not ended always stays. Events of several products are in the order of their
    times. Whether a holder on another host is gone cannot be seen: its lease is free when its time is over, by the
    clock of whoever wants it. Every method raises `JournalUnreachable` while the API server does not answer, and
    `ClusterRefused` for missing rights.

    A late writer is refused although no transaction spans two objects: the Lease names the one rollout that its holder
    writes, before it is written; whoever takes the lease over puts the higher token into that rollout's object before
    anything else; and each write compares and swaps the object, token and all.
    """

    orders_every = timedelta(seconds=5)

    def __init__(self, cluster: Cluster) -> None:
        self._leases = Leases(cluster)
        self._lines = Lines(cluster)
        self._cluster = cluster
        # Renewals come from another thread, and `Leases` remembers what it wrote.
        self._one_at_a_time = Lock()
        # By product, the lease that was last seen to hold here, and the rollout that it lets us write.
        self._writing: dict[str, tuple[Lease, str]] = {}

    def close(self) -> None:
        """Let the connections go."""
        self._cluster.close()

    @_reached
    def acquire(self, product: str, holder: Owner, now: datetime, ttl: timedelta, above: int = 0) -> Lease:
        """See `Journal.acquire`. At most one call, and for a third of the lease's time none."""
        left: list[str] = []

        def highest() -> int:
            """Of the tokens under which rollouts were written, if the Lease is gone: it may have been removed."""
            heads = self._lines.listed(_selector({KIND: "rollout", PRODUCT: safe_label(product)}))
            left[:] = [head.extra[ROLLOUT] for head in heads if head.extra.get(_LIVE) != "false"]
            return max((head.token for head in heads), default=0)

        with self._one_at_a_time:
            held = self._leases.take(product, holder, now, ttl, highest, above)
        lease = Lease(product, holder, held.token)
        if self._writing.get(product, (None, ""))[0] != lease:
            self._writing.pop(product, None)
            for rollout in {held.writes, *left} - {""}:
                self._fence(rollout, product, lease)
            self._writing[product] = lease, held.writes
        return lease

    @_reached
    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> None:
        """See `Journal.renew`. At most one call, and for a third of the lease's time none."""
        with self._one_at_a_time:
            self._leases.renew(lease, now, ttl)

    @_reached
    def release(self, lease: Lease) -> None:
        """See `Journal.release`."""
        if self._writing.get(lease.product, (None, ""))[0] == lease:
            del self._writing[lease.product]
        with self._one_at_a_time:
            self._leases.give_back(lease)

    @_reached
    def save(self, state: RolloutState, lease: Lease, block: Block | None = None) -> None:
        """See `Journal.save`. One call; two when a chunk is full, and the first time for a rollout some more."""
        document, live = write_state(state), {_LIVE: str(state.live).lower()}
        fenced = self._may_write(state.rollout_id, lease)
        first = False

        def saved(head: Head) -> Head:
            nonlocal first
            first = first or not head.document
            return replace(fenced(head), document=document, extra=live)

        blank = _of_rollout(safe_label(state.rollout_id), state.product)
        if block is None:
            self._lines.change(blank, saved)
        else:
            self._lines.append(blank, _line(block_to_json(block)), saved)
        if first:
            with suppress(ApiUnreachable):  # the state is saved, and there is a next time
                self._clear_up(state.product)

    @_reached
    def rollout(self, product: str, rollout_id: str) -> RolloutState:
        """See `Journal.rollout`."""
        document = self._lines.read(_of_rollout(safe_label(rollout_id), product)).document
        state = read_state(document) if document else None
        if state is None or state.product != product:
            raise is_unknown(product, rollout_id)
        return state

    @_reached
    def rollouts(self, product: str, newest: int | None = None) -> tuple[RolloutState, ...]:
        """See `Journal.rollouts`."""
        mine = tuple(self._states({PRODUCT: safe_label(product)}))
        return tuple(sorted(mine, key=_began)[::-1][:newest])

    @_reached
    def holder(self, product: str, now: datetime) -> Owner | None:
        """See `Journal.holder`."""
        held = self._leases.read(product)
        return held.holder if held.lives(now) else None

    @_reached
    def under_way(self) -> tuple[RolloutState, ...]:
        """See `Journal.under_way`."""
        documents = self._lines.documents(_selector({KIND: "rollout", _LIVE: "true"}))
        return tuple(sorted(readable(documents), key=_began))

    @_reached
    def newest(self) -> tuple[RolloutState, ...]:
        """See `Journal.newest`."""
        known = sorted(readable(self._lines.documents(_selector({KIND: "rollout"}))), key=_began)
        found = {state.product: state for state in known}
        return tuple(found[name] for name in sorted(found))

    @_reached
    def evidence(self, rollout_id: str, skip: int = 0) -> tuple[Block, ...]:
        """See `Journal.evidence`."""
        head = self._lines.read(_of_rollout(safe_label(rollout_id), ""))
        return tuple(block_from_json(json.loads(line)) for line in self._lines.all_of(head)[skip:])

    @_reached
    def give(self, rollout_id: str, verb: Verb, who: str, reason: str, at: datetime) -> Order:
        """See `Journal.give`."""
        line = _line({"verb": verb.value, "who": who, "reason": reason, "at": at.isoformat()})
        _, before = self._lines.append(_of_orders(rollout_id), line)
        return Order(before + 1, rollout_id, verb, who, reason, at)

    @_reached
    def orders(self, rollout_id: str, after: int = 0) -> tuple[Order, ...]:
        """See `Journal.orders`. One call."""
        head = self._lines.read(_of_orders(rollout_id))
        first, lines = (head.before_tail, head.tail) if after >= head.before_tail else (0, self._lines.all_of(head))
        orders = (_order(number, rollout_id, json.loads(line)) for number, line in enumerate(lines, first + 1))
        return tuple(order for order in orders if order.number > after)

    @_reached
    def record(self, event: Event) -> None:
        """See `Journal.record`."""
        said = {"product": event.product, "run": event.run, "at": event.at.isoformat(), "kind": event.kind}
        head, _ = self._lines.append(_of_events(event.product), _line(said | {"detail": dict(event.detail)}))
        if len(head.tail) == 1 and head.chunks:
            with suppress(ApiUnreachable):  # the event is recorded, and there is a next time
                self._drop_events(event.product, head)

    @_reached
    def events(self, product: str | None = None, newest: int | None = None) -> tuple[Event, ...]:
        """See `Journal.events`."""
        if product is not None:
            found = self._events(self._lines.read(_of_events(product)))
        else:
            heads = self._lines.listed(_selector({KIND: "events"}))
            found = tuple(merge(*map(self._events, heads), key=lambda event: event.at))
        return found if newest is None else found[max(0, len(found) - newest) :]

    @_reached
    def events_after(self, position: str | None) -> tuple[tuple[Recorded, ...], str]:
        """See `Journal.events_after`. A position is how many events of each product there were. One call."""
        heads = self._lines.listed(_selector({KIND: "events"}))
        end = json.dumps({head.name: head.count for head in heads}, sort_keys=True)
        if position is None:
            return (), end
        before, found = {} if position.isdecimal() else json.loads(position), list[Recorded]()
        for head in heads:
            known = before.get(head.name, 0) if before.get(head.name, 0) <= head.count else 0
            lines = self._lines.all_of(head) if known < head.before_tail else head.tail
            said = [json.loads(line) for line in lines[max(0, len(lines) - (head.count - known)) :]]
            found += [Recorded(each["id"], _event(each)) for each in said]
        return tuple(found), end

    def _may_write(self, rollout_id: str, lease: Lease) -> Callable[[Head], Head]:
        """What puts the lease's token into a rollout's object. Raises `Busy`, now or then, if the lease is over."""
        wanted = lease, safe_label(rollout_id)
        if self._writing.get(lease.product) != wanted:
            with self._one_at_a_time:
                self._leases.let_write(*wanted)
            self._writing[lease.product] = wanted

        def fenced(head: Head) -> Head:
            if head.token > lease.token:
                self._writing.pop(lease.product, None)
                raise is_over(lease)
            return replace(head, token=lease.token)

        return fenced

    def _fence(self, rollout: str, product: str, lease: Lease) -> None:
        """No earlier holder writes any more: not to the rollout that it wrote, nor does it make it only now."""
        blank = _of_rollout(rollout, product)
        self._lines.change(blank, lambda head: replace(head, token=max(head.token, lease.token)), always=False)

    def _states(self, labels: dict[str, str]) -> list[RolloutState]:
        return [read_state(each) for each in self._lines.documents(_selector({KIND: "rollout"} | labels))]

    def _events(self, head: Head) -> tuple[Event, ...]:
        return tuple(_event(json.loads(line)) for line in self._lines.all_of(head))

    def _drop_events(self, product: str, head: Head) -> None:
        """The oldest chunks go, as far as enough events stay and nothing in them belongs to a rollout under way."""
        live, kept, number = None, head.count - head.dropped, 0
        for name, lines in head.chunks:
            kept -= lines
            if kept < EVENTS_KEPT:
                break
            if live is None:
                live = {state.rollout_id for state in self._states({PRODUCT: safe_label(product), _LIVE: "true"})}
            if live.intersection(_event(json.loads(line)).run for line in self._lines.chunk(name)):
                break
            number += 1
        if number:
            self._lines.drop(head, number)

    def _clear_up(self, product: str) -> None:
        """The oldest rollouts go; each one's state last, so that a kill in between leaves it to the next time."""
        ended = self._states({PRODUCT: safe_label(product), _LIVE: "false"})
        for state in sorted(ended, key=_began, reverse=True)[ROLLOUTS_KEPT:]:
            head = _of_rollout(safe_label(state.rollout_id), product)
            found, _ = self._cluster.list(CONFIG_MAP, _selector({ROLLOUT: head.labels[ROLLOUT]}))
            for name in [each["metadata"]["name"] for each in found if each["metadata"]["name"] != head.name]:
                self._cluster.delete(CONFIG_MAP, name)
            self._cluster.delete(CONFIG_MAP, head.name)


def _of_rollout(rollout: str, product: str) -> Head:
    """`rollout` as it stands in names."""
    return Head(f"seatrial-rollout-{rollout}", labels_of(safe_label(product)) | {ROLLOUT: rollout, KIND: "rollout"})


def _of_orders(rollout_id: str) -> Head:
    """Who gives an order may not know the product."""
    rollout = safe_label(rollout_id)
    return Head(f"seatrial-orders-{rollout}", {MANAGED_BY: MANAGER, ROLLOUT: rollout, KIND: "orders"})


def _of_events(product: str) -> Head:
    return Head(f"seatrial-events-{safe_label(product)}", labels_of(safe_label(product)) | {KIND: "events"})


def _selector(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in {MANAGED_BY: MANAGER, **labels}.items())


def _began(state: RolloutState) -> datetime:
    return state.started_at


def _line(document: dict[str, Any]) -> str:
    """As JSON, unlike every other line."""
    return json.dumps({"id": uuid.uuid4().hex} | document, default=str)


def _order(number: int, rollout_id: str, said: dict[str, Any]) -> Order:
    at = datetime.fromisoformat(said["at"])
    return Order(number, rollout_id, Verb(said["verb"]), said["who"], said["reason"], at)


def _event(said: dict[str, Any]) -> Event:
    return Event(said["product"], said["run"], datetime.fromisoformat(said["at"]), said["kind"], said["detail"])
