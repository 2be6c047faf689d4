"""Lines of a journal, and receivers that want all."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from deployments.journals.protocol import Event

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROLLOUT = str(UUID(int=7))


def line(kind: str, product: str = "flights", seconds: float = 0, run: str = ROLLOUT, **detail: Any) -> Event:
    return Event(product, run, NOW + timedelta(seconds=seconds), kind, detail)


def refused(product: str = "flights", seconds: float = 0, reason: str = "roc_auc 0.5") -> Event:
    return line("release.refused", product, seconds, reason=reason)


@dataclass(frozen=True)
class Everybody:
    """Wants all, or of one product."""

    id: str = "somebody"
    product: str = ""

    def wants(self, product: str, kind: str) -> bool:
        return self.product in {"", product}
