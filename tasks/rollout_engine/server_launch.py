"""Bringing servers of a version up, and seeing that they answer as training did."""

import json
import math
from datetime import timedelta
from typing import Any

from deployments.durations import format_duration
from deployments.errors import NeverReady, SeatrialError
from deployments.plurals import counted
from deployments.registry.launch_spec import Kept, read_start_record, write_start_record
from deployments.registry.model_folder import size_of
from deployments.spec import RolloutSection, TargetKind
from deployments.targets.protocol import Launch as Servers
from deployments.targets.protocol import Replica, ReplicaState
from deployments.wiring import Doors

_LOOK = timedelta(seconds=5)
_TOLERANCE = 1e-9
_AS_TEXT = " (as its source writes it)"


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
    model = read_start_record(doors.models, product, version)
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
    write_start_record(doors.models, product, version, model)
    return model


def ready(replicas: tuple[Replica, ...]) -> tuple[Replica, ...]:
    """Those that are."""
    return tuple(replica for replica in replicas if replica.state is ReplicaState.READY)


def _start(product: str, version: int, replicas: int, section: RolloutSection, model: Kept, doors: Doors) -> None:
    servers = Servers(
        product,
        version,
        model.folder,
        replicas,
        model.trusted,
        section.server,
        section.key,
        section.ready_timeout,
        model.digest,
        size_of(model.folder) if model.digest else 0,
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
            raise NeverReady(f"{failed[0].name} cannot start: {failed[0].detail or _log_of(failed[0], section)}")
        if doors.clock.monotonic() - began > section.ready_timeout.total_seconds():
            raise NeverReady(_still_waiting(seen, version, section))
        doors.target.wait(product, version, _LOOK, doors.clock)


class NotWholeError(Exception):
    """A version lacks servers that may come yet; the text says which.

    No `SeatrialError`: whoever waits for them looks after users meanwhile, and after the time that they are given.
    """


def check_all_launched(product: str, version: int, section: RolloutSection, doors: Doors) -> None:
    """Raises `NotWholeError` unless `version`, on which all is about to depend, has all its servers as launched."""
    if lack := _lack(product, version, section, doors):
        raise NotWholeError(lack)


def replicas_lost_error(version: int, lack: str, section: RolloutSection) -> NeverReady:
    """What is raised once `ready_timeout` has not cured it."""
    return NeverReady(f"v{version} is not fit for all traffic after {format_duration(section.ready_timeout)}: {lack}")


def await_change(product: str, version: int, doors: Doors) -> None:
    """Wait until something may have changed about servers of `version`, some seconds at most."""
    doors.target.wait(product, version, _LOOK, doors.clock)


def _lack(product: str, version: int, section: RolloutSection, doors: Doors) -> str:
    """What it lacks; empty for nothing. An autoscaler may want more than `replicas`, and need not have them."""
    if why := doors.target.unsettled(product, version):
        return why
    replicas = doors.target.replicas(product, version)
    ready = sum(each.state is ReplicaState.READY for each in replicas)
    if ready >= section.replicas:
        return ""
    others = [each for each in replicas if each.state is not ReplicaState.READY]
    wanted = counted(section.replicas, "server is", "servers are")
    told = "; ".join(f"{each.name} is {each.state}{f' ({each.detail})' if each.detail else ''}" for each in others)
    return f"{ready} of {wanted} ready{f': {told}' if told else ''}"


def _still_waiting(seen: tuple[Replica, ...], version: int, section: RolloutSection) -> str:
    waiting = [replica for replica in seen if replica.state is not ReplicaState.READY]
    names = ", ".join(replica.name for replica in waiting) or f"v{version}"
    why = next((f" ({replica.detail})" for replica in waiting if replica.detail), "")
    return (
        f"{names} not ready after {section.ready_timeout.total_seconds():g} s{why}: "
        f"{_log_of(waiting[0], section) if waiting else 'see what keeps them from being started'}, "
        f"or raise rollout.ready_timeout"
    )


def _log_of(replica: Replica, section: RolloutSection) -> str:
    """Where a server says what is wrong with it."""
    if section.target is not TargetKind.KUBERNETES:
        return f"see `seatrial logs {replica.name}`"
    namespace = section.kubernetes.namespace
    return f"see `kubectl logs {replica.name}{f' -n {namespace}' if namespace else ''}`"


def verify(product: str, version: int, doors: Doors) -> str:
    """Every server of `version` that stays must answer the held-out sample rows as training did, to within 1e-9.

    As values and, where the version has it, as the text that their source has for them.
    """
    folder = doors.registry.fetch(product, version, doors.models)
    sample = json.loads((folder / "verification.json").read_bytes())
    asked = {"": sample["request"]} | ({_AS_TEXT: sample["texts"]} if "texts" in sample else {})
    for replica in doors.target.replicas(product, version):
        if replica.state is not ReplicaState.STOPPING:
            for how, request in asked.items():
                answer = doors.target.ask(replica, "/invocations", json.dumps(request).encode())
                _compare(replica, answer, sample["predictions"], how)
    return f"{counted(len(sample['predictions']), 'sample row')} answered as in training"


def _compare(replica: Replica, answer: Any, expected: list[Any], how: str) -> None:
    if answer.status != 200:
        raise NeverReady(
            f"{replica.name} answered {answer.status} to sample rows{how}: {answer.body[:200].decode(errors='replace')}"
        )
    given = json.loads(answer.body)["predictions"]
    if len(given) != len(expected):
        raise NeverReady(
            f"{replica.name} gave {counted(len(given), 'prediction')} for {counted(len(expected), 'sample row')}{how}"
        )
    for row, (got, wanted) in enumerate(zip(given, expected, strict=True)):
        if not _equal(got, wanted):
            raise NeverReady(f"{replica.name} answers sample row {row}{how} with {got}, but training said {wanted}")


def _equal(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(_equal, got, wanted))
    if isinstance(wanted, float) and isinstance(got, int | float):
        return math.isclose(got, wanted, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(got == wanted)
