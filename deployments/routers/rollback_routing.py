"""A candidate's users given back to the champion, in haste: what is kept of it, and what the routing is then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployments.errors import RouterRefused
from deployments.traffic import Backend, Routing, Weights


@dataclass(frozen=True, slots=True)
class Retreat:
    """Which rollout gave its candidate's users back, why, and when.

    It stands beside the routing until the next one is applied: a journal that could not be written at that moment may
    say that the candidate is still watched, and whoever reads that must not lead users to it again.
    """

    rollout_id: str
    reason: str
    at: datetime

    def document(self) -> dict[str, str]:
        """As JSON."""
        return {"rollout": self.rollout_id, "reason": self.reason, "at": self.at.isoformat()}

    @classmethod
    def read(cls, document: object) -> "Retreat | None":
        """The reverse of `document`; None for anything else."""
        if not isinstance(document, Mapping):
            return None
        told: Mapping[str, Any] = document
        try:
            return cls(str(told["rollout"]), str(told["reason"]), datetime.fromisoformat(told["at"]))
        except (KeyError, TypeError, ValueError):
            return None


def everything_to(product: str, version: int, backends: tuple[Backend, ...]) -> Routing:
    """All traffic to `version`; whoever else is known stays known. Raises `RouterRefused` if it is not known itself."""
    if not any(backend.version == version and backend.addresses for backend in backends):
        raise unknown(product, version)
    return Routing(tuple(backend for backend in backends if backend.addresses), Weights.all_to(version))


def has_everything(version: int, routing: Routing | None) -> bool:
    """Whether nobody else gets anything, be it by weight, by a match or by a mirror."""
    return routing is not None and routing.versions == (version,)


def unknown(product: str, version: int) -> RouterRefused:
    """There is nobody to give the users back to."""
    return RouterRefused(f"{product}: the router knows no server of v{version} that is ready: start one, then apply")
