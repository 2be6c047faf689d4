"""A target as the holder of a lease sees it: each of its writes carries the lease's token."""

from dataclasses import dataclass
from datetime import timedelta

from deployments.clock import Clock
from deployments.targets.protocol import JSON, Answer, Launch, Replica, Target


@dataclass(frozen=True, slots=True)
class FencedTarget:
    """`target`, written to under `held`: the number of a lease. A token that is given to a write goes before it."""

    target: Target
    held: int

    @classmethod
    def of(cls, target: Target, held: int) -> "FencedTarget":
        """The target under this lease, and no other."""
        return cls(target.target if isinstance(target, cls) else target, held)

    def launch(self, launch: Launch, token: int | None = None) -> None:
        """See `Target.launch`."""
        self.target.launch(launch, token=self.held if token is None else token)

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        """See `Target.replicas`."""
        return self.target.replicas(product, version)

    def wait(self, product: str, version: int, within: timedelta, clock: Clock) -> None:
        """See `Target.wait`."""
        self.target.wait(product, version, within, clock)

    def versions(self, product: str) -> tuple[int, ...]:
        """See `Target.versions`."""
        return self.target.versions(product)

    def unsettled(self, product: str, version: int) -> str:
        """See `Target.unsettled`."""
        return self.target.unsettled(product, version)

    def newest_token(self, product: str) -> int:
        """See `Target.newest_token`."""
        return self.target.newest_token(product)

    def ask(self, replica: Replica, path: str, body: bytes, media_type: str = JSON) -> Answer:
        """See `Target.ask`."""
        return self.target.ask(replica, path, body, media_type)

    def retire(self, product: str, version: int, drain: timedelta, token: int | None = None) -> None:
        """See `Target.retire`."""
        self.target.retire(product, version, drain, token=self.held if token is None else token)
