"""Whether the servers that a split asks are there at all, and ready."""

from dataclasses import dataclass

from deployments.errors import SeatrialError, TryAgain
from deployments.rollout.state import RolloutState
from deployments.targets.protocol import ReplicaState
from deployments.wiring import Doors
from tasks.rollout_engine.hung_requests import NOT_READY
from tasks.rollout_engine.patience import PATIENCE
from tasks.rollout_engine.server_launch import start


@dataclass(slots=True)
class Presence:
    """Remembers since when no server of the candidate has been ready, while nobody else answered its users."""

    bare_since: float | None = None

    def candidate(
        self, state: RolloutState, answers: bool, doors: Doors, *, hopeless: bool = False
    ) -> tuple[str, str | None]:
        """Why no server of the candidate is ready, empty if one is; and why it never will be, once that is known.

        It lasts only while its users do not get their `answers`: servers may be too busy to say that they are well.
        Where its users are known to have got none for long (`hopeless`), no time is left for that.
        """
        since, self.bare_since = self.bare_since, None
        version = f"v{state.candidate}"
        try:
            replicas = doors.target.replicas(state.product, state.candidate)
            gone = "" if replicas else f"{version} has no servers any more{_told(state, state.candidate, doors)}"
        except TryAgain:
            return "", None
        if gone or any(each.state is ReplicaState.READY for each in replicas):
            return gone, gone or None
        why = next((f" ({each.detail})" for each in replicas if each.detail), "")
        lasting = None
        if hopeless:
            seconds = NOT_READY.total_seconds()
            lasting = f"no server of {version} is ready, and none of its users has had an answer for {seconds:g} s{why}"
        elif not answers:
            self.bare_since = doors.clock.monotonic() if since is None else since
            if doors.clock.monotonic() - self.bare_since >= PATIENCE.total_seconds():
                lasting = f"no server of {version} has been ready for {PATIENCE.total_seconds():g} s{why}"
        return f"no server of {version} is ready{why}", lasting


def restart_champion(state: RolloutState, version: int, doors: Doors) -> str:
    """Why the champion has no servers any more, empty if it has; they are started again, and waited for by nobody."""
    try:
        if doors.target.replicas(state.product, version):
            return ""
        told = _told(state, version, doors)
        start(state.product, version, state.section.replicas, state.section, doors)
    except TryAgain:
        return ""
    except SeatrialError as error:
        return f"v{version} has no servers any more, and cannot be started again: {error}"
    return f"v{version} has no servers any more{told}: started again"


def _told(state: RolloutState, version: int, doors: Doors) -> str:
    why = doors.target.unsettled(state.product, version)
    return f" ({why})" if why else ""
