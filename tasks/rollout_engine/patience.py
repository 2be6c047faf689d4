"""How long a part of the platform that does not answer is waited for."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from deployments.errors import DiskFull, SeatrialError, TryAgain
from deployments.wiring import Doors

T = TypeVar("T")
# How long a part that does not answer (a gateway that is being restarted) is waited for before a step is given up.
PATIENCE = timedelta(seconds=60)
GLANCE = timedelta(seconds=0.5)
# On the way back logs give way to what has to be written.
ON_THE_WAY_BACK: Final = (TryAgain, DiskFull)


def retried_for_a_minute(
    act: Callable[[], T], doors: Doors, passing: tuple[type[SeatrialError], ...] = (TryAgain,)
) -> T:
    """What `act` returns; while a part of the platform does not answer it is repaired and asked again, up to a minute.

    Raises the last error of the kinds in `passing` after that, and every other one at once.
    """
    until = doors.clock.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            return act()
        except passing:
            if doors.clock.monotonic() >= until:
                raise
        doors.clock.sleep(GLANCE)
        try:
            doors.repair()
        except SeatrialError:
            continue
