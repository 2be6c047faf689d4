"""Which feedback is taken, and of whom: known products, their keys, ids that a server gave out, room that is left."""

import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from deployments.clock import Clock
from deployments.errors import SeatrialError
from deployments.metrics.class_labels import LABEL
from deployments.metrics.feedback.parsing import BadFeedback
from deployments.metrics.feedback.pending_by_user import KeyedFeedback
from deployments.metrics.feedback.rate_limit import Rates
from deployments.metrics.feedback.tables import Feedback
from deployments.plurals import counted
from deployments.request_ids import LONGEST_ID, GivenOut, Seals, without_seal
from deployments.spec import RolloutSection

# How long it is remembered that a product is known, and that it is not.
_KNOWN_FOR, _UNKNOWN_FOR = timedelta(seconds=30), timedelta(seconds=5)
_MOST_REMEMBERED: Final = 1_000
# Names of metrics that a product may have. Those by which it is judged are not counted among them.
MOST_METRICS: Final = 100
_FOREIGN: Final = (
    "no answer of this version to a user has this id: send x-request-id as it came with the answer, seal and all"
)

# A product to the section of its newest rollout; None for one that never was rolled out.
SectionOf = Callable[[str], RolloutSection | None]
# A product and what its section says to the key that senders must give; None: none. Raises a `SeatrialError` for a key
# that is wanted, but is not there.
KeyOf = Callable[[str, RolloutSection], bytes | None]


@dataclass(frozen=True, slots=True)
class Sender:
    """`address` is whose rate counts, `token` the key that came along. `is_local`: it sends from this machine."""

    address: str
    is_local: bool = False
    token: bytes | None = None


class NotAdmitted(SeatrialError):
    """Feedback that is not taken from this sender, or not now. `status` is the code of HTTP, `place` the item."""

    def __init__(self, status: int, message: str, place: str = "", delay: timedelta | None = None) -> None:
        super().__init__(message)
        self.status, self.place, self.delay = status, place, delay


@dataclass(frozen=True, slots=True)
class Admitted:
    """What may be stored; how many were `refused` for their ids, what is wrong with the first; how many lie `outside`
    of the range of their metric, so that they count as the nearer end of it."""

    items: tuple[Feedback | KeyedFeedback, ...]
    refused: int
    problems: tuple[tuple[str, str], ...]
    outside: int


@dataclass(slots=True)
class Kept:
    """How many values are kept of each product and metric, as was counted last and was added since."""

    most: int
    numbers: dict[str, dict[str, int]] = field(default_factory=dict)

    def counted(self, numbers: Mapping[tuple[str, str], int]) -> None:
        """As it stands in the database."""
        found: dict[str, dict[str, int]] = {}
        for (product, metric), number in numbers.items():
            found.setdefault(product, {})[metric] = number
        self.numbers = found

    def add(self, items: Sequence[Feedback | KeyedFeedback]) -> None:
        """They are stored; some may have been there before, which the next count tells."""
        for item in items:
            mine = self.numbers.setdefault(item.product, {})
            mine[item.metric] = mine.get(item.metric, 0) + 1


@dataclass(frozen=True, slots=True)
class Products:
    """What is known of them: their newest rollouts, and their keys."""

    section_of: SectionOf
    key_of: KeyOf


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be sent in a minute, what is kept, and how old an answer may be. `any_id`: also ids without a seal."""

    rates: Rates
    kept: Kept
    within: timedelta
    any_id: bool = False


class Admission:
    """Lets feedback in. Safe for several threads.

    Only request ids that `seals` opens are taken; where the bounds say `any_id` others, too, of which then nothing more
    is known.
    """

    def __init__(self, products: Products, seals: Seals, bounds: Bounds, clock: Clock) -> None:
        self._products, self._seals, self._bounds, self._clock = products, seals, bounds, clock
        self.within = bounds.within
        self._known: OrderedDict[str, tuple[float, RolloutSection | None]] = OrderedDict()
        self._turn = threading.Lock()

    def spend(self, sender: str, number: int) -> None:
        """Raises `NotAdmitted` where the sender has sent too much within a minute."""
        wait = self._bounds.rates.take(sender, number)
        if wait is not None:
            raise NotAdmitted(429, "too much feedback from here within a minute: send it again later", delay=wait)

    def admit(self, items: Sequence[Feedback | KeyedFeedback], sender: Sender) -> Admitted:
        """Those that may be stored. Raises `NotAdmitted` where none may, and `BadFeedback` where no id is ours."""
        sections = self._sections(items)
        named = self._check_keys(items, sections, sender)
        self.spend(named or sender.address, len(items))
        self._check_room(items, sections)
        taken: list[Feedback | KeyedFeedback] = []
        problems: list[tuple[str, str]] = []
        for number, item in enumerate(items):
            found = item if isinstance(item, KeyedFeedback) else self._opened(item)
            if isinstance(found, str):
                problems.append((_place(items, number, "request_id"), found))
            else:
                taken.append(found)
        if not taken:
            raise BadFeedback(problems)
        outside = sum(_is_outside(item, sections[item.product]) for item in taken)
        return Admitted(tuple(taken), len(problems), tuple(problems[:1]), outside)

    def stored(self, admitted: Admitted) -> None:
        """What was admitted is on the disk."""
        with self._turn:
            self._bounds.kept.add(admitted.items)

    def _sections(self, items: Sequence[Feedback | KeyedFeedback]) -> Mapping[str, RolloutSection]:
        found: dict[str, RolloutSection] = {}
        for number, item in enumerate(items):
            if item.product in found:
                continue
            section = self._section(item.product)
            if section is None:
                raise NotAdmitted(404, "no such product has been rolled out here", _place(items, number, "product"))
            found[item.product] = section
        return found

    def _section(self, product: str) -> RolloutSection | None:
        now = self._clock.monotonic()
        with self._turn:
            until, known = self._known.get(product, (now, None))
        if now < until:
            return known
        section = self._products.section_of(product)
        keeps = _UNKNOWN_FOR if section is None else _KNOWN_FOR
        with self._turn:
            self._known[product] = now + keeps.total_seconds(), section
            self._known.move_to_end(product)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return section

    def _check_keys(
        self, items: Sequence[Feedback | KeyedFeedback], sections: Mapping[str, RolloutSection], sender: Sender
    ) -> str:
        """By what name a sender that gave the keys of all products is counted; empty for one that needed none."""
        keys = {product: self._products.key_of(product, section) for product, section in sections.items()}
        for number, item in enumerate(items):
            wanted = keys[item.product]
            if wanted is not None and not hmac.compare_digest(sender.token or b"", wanted):
                message = "this product's feedback needs its key: send it as `authorization: Bearer KEY`"
                raise NotAdmitted(401, message, _place(items, number, "product"))
            if wanted is None and isinstance(item, KeyedFeedback) and not sender.is_local:
                message = (
                    "feedback by a user's key is taken from another machine only with a key of the product, which has "
                    "none: give it one, or send request ids"
                )
                raise NotAdmitted(401, message, _place(items, number, "key"))
        return "" if None in keys.values() else f"the key of {', '.join(sorted(keys))}"

    def _check_room(self, items: Sequence[Feedback | KeyedFeedback], sections: Mapping[str, RolloutSection]) -> None:
        for product, section in sections.items():
            with self._turn:
                kept = dict(self._bounds.kept.numbers.get(product, {}))
            if sum(kept.values()) >= (most := self._bounds.kept.most):
                days = counted(self.within.days, "day")
                message = f"{product} has {counted(most, 'value')} already: the oldest go after {days}"
                raise NotAdmitted(429, message, delay=timedelta(hours=1))
            judged = {*section.analysis.ranges, LABEL}
            names = {*kept} - judged
            for number, item in enumerate(items):
                if item.product == product and item.metric not in judged:
                    names.add(item.metric)
                if len(names) > MOST_METRICS:
                    message = f"the product has feedback under {MOST_METRICS} names already: use one of these"
                    raise BadFeedback([(_place(items, number, "metric"), message)])

    def _opened(self, item: Feedback) -> Feedback | str:
        """Without its seal, and with what that says; or what is wrong with it."""
        found = self._seals.opened(item.request_id, item.product, item.version)
        if found is None:
            plain = without_seal(item.request_id)
            return replace(item, request_id=plain) if self._bounds.any_id and len(plain) <= LONGEST_ID else _FOREIGN
        if found.at < self._clock.now() - self.within:
            return f"the answer is older than {counted(self.within.days, 'day')}"
        return _about(item, found)


def _about(item: Feedback, found: GivenOut) -> Feedback:
    # Nothing is known of an answer before it is given. So its age is that of the answer, at most.
    at = found.at if item.at is None else max(item.at, found.at)
    return replace(item, request_id=found.request_id, at=at, answered=found.at, user=found.user)


def _is_outside(item: Feedback | KeyedFeedback, section: RolloutSection) -> bool:
    limits = section.analysis.ranges.get(item.metric)
    return limits is not None and isinstance(item.value, float) and not limits[0] <= item.value <= limits[1]


def _place(items: Sequence[object], number: int, name: str) -> str:
    return f"[{number}].{name}" if len(items) > 1 else name
