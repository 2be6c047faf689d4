"""Model servers that are only remembered: for tests, examples and dry runs."""

import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from deployments.clock import Clock
from deployments.errors import TargetUnreachable
from deployments.fencing import Tokens
from deployments.targets.protocol import POLL, Answer, Launch, Replica, ReplicaState


class Behaviour(StrEnum):
    """How the servers of a version turn out."""

    READY = "ready"  # at once
    NEVER_READY = "never_ready"
    FAILING = "failing"
    ANSWERING_WRONGLY = "answering_wrongly"


_STATE = {
    Behaviour.READY: ReplicaState.READY,
    Behaviour.NEVER_READY: ReplicaState.STARTING,
    Behaviour.FAILING: ReplicaState.FAILED,
    Behaviour.ANSWERING_WRONGLY: ReplicaState.READY,
}


@dataclass(slots=True)
class _Server:
    state: ReplicaState
    detail: str
    model: Path


class InMemoryTarget:
    """Remembers which servers were launched (see `Target`).

    Servers are ready at once and answer the request of their folder's verification.json as it says; `script` makes the
    next ones of a version turn out otherwise. Not for several threads.
    """

    def __init__(self) -> None:
        self._servers: dict[tuple[str, int], list[_Server]] = {}
        self._behaviours: dict[tuple[str, int], Behaviour] = {}
        self._reachable = True
        self._tokens = Tokens()

    def script(self, product: str, version: int, behaviour: Behaviour) -> None:
        """How the servers of a version turn out; those that run change at once."""
        self._behaviours[product, version] = behaviour
        for server in self._servers.get((product, version), []):
            server.state, server.detail = _turned_out(behaviour)

    def script_reachable(self, reachable: bool) -> None:
        """Whether the keeper answers; while it does not, every method raises `TargetUnreachable`."""
        self._reachable = reachable

    def launch(self, launch: Launch, token: int | None = None) -> None:
        """See `Target`."""
        self._reach()
        self._tokens.admit(launch.product, token)
        servers = self._servers.setdefault((launch.product, launch.version), [])
        del servers[launch.replicas :]
        behaviour = self._behaviours.get((launch.product, launch.version), Behaviour.READY)
        for index in range(launch.replicas):
            fresh = _Server(*_turned_out(behaviour), launch.model)
            if index == len(servers):
                servers.append(fresh)
            elif servers[index].state is ReplicaState.FAILED or servers[index].model != launch.model:
                servers[index] = fresh

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        """See `Target`."""
        self._reach()
        return tuple(
            Replica(
                f"model-{product}-v{version}-{index}",
                f"/memory/{product}/v{version}/{index}.sock",
                server.state,
                server.detail,
            )
            for index, server in enumerate(self._servers.get((product, version), []))
        )

    def wait(self, product: str, version: int, within: timedelta, clock: Clock) -> None:
        """See `Target`."""
        clock.sleep(min(within, POLL))

    def versions(self, product: str) -> tuple[int, ...]:
        """See `Target`."""
        self._reach()
        return tuple(
            sorted(version for (name, version), servers in self._servers.items() if name == product and servers)
        )

    def unsettled(self, product: str, version: int) -> str:
        """See `Target`."""
        self._reach()
        return ""

    def newest_token(self, product: str) -> int:
        """See `Target.newest_token`."""
        return self._tokens.newest(product)

    def ask(self, replica: Replica, path: str, body: bytes) -> Answer:
        """See `Target`. 404 for any path but /invocations, 422 for any request but the verification's two."""
        self._reach()
        for (product, version), servers in self._servers.items():
            for known, server in zip(self.replicas(product, version), servers, strict=True):
                if known.address == replica.address and server.state is ReplicaState.READY:
                    behaviour = self._behaviours.get((product, version), Behaviour.READY)
                    return _answer(server.model, path, body, wrongly=behaviour is Behaviour.ANSWERING_WRONGLY)
        raise TargetUnreachable(f"{replica.name} does not answer on {replica.address}: launch it")

    def retire(self, product: str, version: int, drain: timedelta, token: int | None = None) -> None:
        """See `Target`. Nothing is ever being answered, so that nothing is waited for."""
        self._reach()
        self._tokens.admit(product, token)
        self._servers.pop((product, version), None)

    def _reach(self) -> None:
        if not self._reachable:
            raise TargetUnreachable("the in-memory target was scripted to be unreachable: script it reachable")


def _turned_out(behaviour: Behaviour) -> tuple[ReplicaState, str]:
    return _STATE[behaviour], "scripted to fail" if behaviour is Behaviour.FAILING else ""


def _answer(model: Path, path: str, body: bytes, wrongly: bool) -> Answer:
    if path != "/invocations":
        return Answer(404, b'{"error": "no such path"}')
    verification = json.loads((model / "verification.json").read_bytes())
    if _parsed(body) not in (verification["request"], verification.get("texts")):
        return Answer(422, b'{"error": "only the verification request can be answered from memory"}')
    predictions = verification["predictions"]
    if wrongly:
        predictions = _altered(predictions)
    return Answer(200, json.dumps({"predictions": predictions}).encode())


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _altered(value: object) -> object:
    """The same shape, no value as it was."""
    if isinstance(value, list):
        return [_altered(item) for item in value]
    if isinstance(value, bool):
        return not value
    return value + 1.0 if isinstance(value, int | float) else f"not {value}"
