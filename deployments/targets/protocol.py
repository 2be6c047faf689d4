"""The door to the place where model servers run."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from deployments.clock import Clock
from deployments.spec import ServerSection, StickyKey
from deployments.traffic import DEFAULT_KEY

JSON: Final = "application/json"
# How often servers are looked at where nobody tells when something changes.
POLL: Final = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: `replicas` servers of one version, each loading the model folder `model` (see registry.fetch).

    `trusted` names the types of the user's own that the model may hold; `key` is where a user's sticky key stands.
    `digest` stands for the manifest of the files that were judged, which together have `size` bytes; servers take no
    other. It is empty where nobody knows it.
    Servers that are not ready `within` that time are waited for no longer.
    """

    product: str
    version: int
    model: Path
    replicas: int
    trusted: tuple[str, ...] = ()
    server: ServerSection = field(default_factory=ServerSection)
    key: StickyKey = field(default_factory=lambda: StickyKey(header=DEFAULT_KEY))
    within: timedelta = timedelta(seconds=60)
    digest: str = ""
    size: int = 0


class ReplicaState(StrEnum):
    """What one server is doing."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"  # given up by its keeper: it will not come up by waiting
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Replica:
    """One server. `address` is a Unix socket path or `host:port`.

    `detail` says why it failed, or what it waits for if anybody knows; empty otherwise.
    """

    name: str
    address: str
    state: ReplicaState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to a prediction request: `status` is the HTTP code, `body` the raw answer."""

    status: int
    body: bytes


class Target(Protocol):
    """Runs model servers. Every method is idempotent.

    What writes takes the `token` of the lease under which it was begun, as with `Router`: `Busy` for one that is lower
    than the highest that was shown for that product.

    All raise `TargetUnreachable` when the keeper does not answer, and in a cluster `ClusterRefused` if it forbids.
    """

    def launch(self, launch: Launch, token: int | None = None) -> None:
        """See to it that exactly these servers are started; returns without waiting for them to be ready.

        A replica that failed before is started afresh; one that is ready is left alone, as it was started, for a
        restart would cost requests.
        """
        ...

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        """The servers of a version as they are now, in a stable order; empty when there are none."""
        ...

    def wait(self, product: str, version: int, within: timedelta, clock: Clock) -> None:
        """Wait until `replicas` may say something new, at the longest for `within`; it may be sooner for no reason."""
        ...

    def versions(self, product: str) -> tuple[int, ...]:
        """Versions of a product with at least one server, or anything that is left of one, in ascending order."""
        ...

    def unsettled(self, product: str, version: int) -> str:
        """Why servers of a version are not all as they are meant to stay, such as a restart; empty if they are.

        Raises `NeverReady` if somebody changed how they are made since they were launched, which waiting does not cure.
        """
        ...

    def newest_token(self, product: str) -> int:
        """The highest token of a lease that was shown for this product; 0 where none is known any more."""
        ...

    def ask(self, replica: Replica, path: str, body: bytes, media_type: str = JSON) -> Answer:
        """POST a body to one server directly, past the router (to verify it before it gets traffic).

        Raises `TargetUnreachable` if it does not answer within 10 seconds.
        """
        ...

    def retire(self, product: str, version: int, drain: timedelta, token: int | None = None) -> None:
        """Stop all servers of a version; each first finishes its answers, within `drain`. Returns when gone."""
        ...
