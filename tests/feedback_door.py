"""A door for feedback with everything that it asks in memory, and ids as a server gives them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deployments.clock import Clock, ManualClock, SystemClock
from deployments.metrics.feedback.admission import Admission, Bounds, Kept, Products
from deployments.metrics.feedback.rate_limit import Rates
from deployments.request_ids import Sealer, Seals
from deployments.spec import RolloutSection

SECRET = b"the key of request ids"


def sealed(
    request_id: str,
    product: str = "shop",
    version: int = 3,
    key: str | None = None,
    at: datetime | None = None,
    secret: bytes = SECRET,
) -> str:
    """The id that a server gave out with an answer to the user with this sticky key; `at` None: just now."""
    clock: Clock = SystemClock() if at is None else ManualClock(at)
    return Sealer(secret, product, version, clock).sealed(request_id, key.encode() if key else None, 0.0)


@dataclass
class Door:
    """`products` were rolled out by these sections, `keys` are what their senders must give."""

    products: dict[str, RolloutSection] = field(default_factory=lambda: {"shop": RolloutSection()})
    keys: Mapping[str, bytes] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    rate: int = 10_000
    kept: Kept = field(default_factory=lambda: Kept(1_000_000))
    within: timedelta = timedelta(days=90)
    any_id: bool = False
    asked: list[str] = field(default_factory=list)

    def open(self) -> Admission:
        products = Products(self._section_of, lambda product, _: self.keys.get(product))
        bounds = Bounds(Rates(self.rate, self.clock), self.kept, self.within, self.any_id)
        return Admission(products, Seals(SECRET), bounds, self.clock)

    def _section_of(self, product: str) -> RolloutSection | None:
        self.asked.append(product)
        return self.products.get(product)
