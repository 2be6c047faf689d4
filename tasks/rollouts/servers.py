"""Bringing servers of a version up, and seeing that they answer as training did."""

import json
import math
from datetime import timedelta
from typing import Any

from deployments.errors import NeverReady, SeatrialError
from deployments.registry.kept import Kept, keep_note, kept
from deployments.spec import RolloutSection
from deployments.targets.protocol import Launch as Servers
from deployments.targets.protocol import Replica, ReplicaState
from deployments.wiring import Doors

_LOOK = timedelta(seconds=5)
_TOLERANCE = 1e-9


def launch(product: str, version: int, replicas: int, section: RolloutSection, doors: Doors) -> str:
    """Start servers of `version` and wait until so many are ready; `NeverReady` says which one is not, and why."""
    start(product, version, replicas, section, doors)
    return await_ready(product, version, replicas, section, doors)


def start(product: str, version: int, replicas: int, section: RolloutSection, doors: Doors) -> None:
    """Start servers of `version` as the registry has it, and wait for none."""
    _start(product, version, replicas, section, _by_registry(product, version, doors), doors)


def start_again(product: str, version: int, replicas: int, section: RolloutSection, doors: Doors) -> None:
    """Start servers of a version that ran before, as it did; the registry is asked only where that is not known.

    Its silence is no obstacle where so many are ready.
    """
    model = kept(doors.models, product, version)
    if model is None:
        try:
            model = _by_registry(product, version, doors)
        except SeatrialError:
            if len(ready(doors.target.replicas(product, version))) >= replicas:
                return
            raise
    _start(product, version, replicas, section, model, doors)


def _by_registry(product: str, version: int, doors: Doors) -> Kept:
    model = doors.registry.model(product, version, doors.models)
    keep_note(doors.models, product, version, model)
    return model


def ready(replicas: tuple[Replica, ...]) -> tuple[Replica, ...]:
    """Those that are."""
    return tuple(replica for replica in replicas if replica.state is ReplicaState.READY)


def _start(product: str, version: int, replicas: int, section: RolloutSection, model: Kept, doors: Doors) -> None:
    servers = Servers(
        product, version, model.folder, replicas, model.trusted, section.server, section.key, section.ready_timeout
    )
    doors.target.launch(servers)


def await_ready(product: str, version: int, least: int, section: RolloutSection, doors: Doors) -> str:
    """Wait until `least` servers of `version` are ready, whatever becomes of others; `NeverReady` as in `launch`."""
    began = doors.clock.monotonic()
    while True:
        seen = doors.target.replicas(product, version)
        up = ready(seen)
        if len(up) >= least:
            return f"{len(up)} ready after {doors.clock.monotonic() - began:.1f} s"
        failed = [replica for replica in seen if replica.state is ReplicaState.FAILED]
        coming = sum(replica.state is ReplicaState.STARTING for replica in seen)
        if failed and len(up) + coming < least:
            raise NeverReady(
                f"{failed[0].name} cannot start: {failed[0].detail or 'see seatrial logs ' + failed[0].name}"
            )
        if doors.clock.monotonic() - began > section.ready_timeout.total_seconds():
            raise NeverReady(_still_waiting(seen, version, section))
        doors.target.wait(product, version, _LOOK, doors.clock)


def _still_waiting(seen: tuple[Replica, ...], version: int, section: RolloutSection) -> str:
    waiting = [replica for replica in seen if replica.state is not ReplicaState.READY]
    names = ", ".join(replica.name for replica in waiting) or f"v{version}"
    why = next((f" ({replica.detail})" for replica in waiting if replica.detail), "")
    return (
        f"{names} not ready after {section.ready_timeout.total_seconds():g} s{why}: "
        f"see `seatrial logs {names.partition(',')[0]}`, or raise rollout.ready_timeout"
    )


def verify(product: str, version: int, doors: Doors) -> str:
    """Every server of `version` that stays must answer the held-out sample rows as training did, to within 1e-9."""
    folder = doors.registry.fetch(product, version, doors.models)
    sample = json.loads((folder / "verification.json").read_bytes())
    request = json.dumps(sample["request"]).encode()
    for replica in doors.target.replicas(product, version):
        if replica.state is not ReplicaState.STOPPING:
            _compare(replica, doors.target.ask(replica, "/invocations", request), sample["predictions"])
    return f"{len(sample['predictions'])} sample rows answered as in training"


def _compare(replica: Replica, answer: Any, expected: list[Any]) -> None:
    if answer.status != 200:
        raise NeverReady(
            f"{replica.name} answered {answer.status} to sample rows: {answer.body[:200].decode(errors='replace')}"
        )
    given = json.loads(answer.body)["predictions"]
    if len(given) != len(expected):
        raise NeverReady(f"{replica.name} gave {len(given)} predictions for {len(expected)} sample rows")
    for row, (got, wanted) in enumerate(zip(given, expected, strict=True)):
        if not _equal(got, wanted):
            raise NeverReady(f"{replica.name} answers sample row {row} with {got}, but training said {wanted}")


def _equal(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(_equal, got, wanted))
    if isinstance(wanted, float) and isinstance(got, int | float):
        return math.isclose(got, wanted, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(got == wanted)
