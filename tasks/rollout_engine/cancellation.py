"""Whether the run that carries a rollout was cancelled."""

from collections.abc import Callable
from typing import Final

# The reason of a rollout whose run a person cancelled on Prefect's pages.
CANCELLED: Final = "cancelled in Prefect"
# Why the run was cancelled, or None.
Stop = Callable[[], str | None]


def nobody_stops() -> str | None:
    """A `Stop` where nobody can cancel."""
    return None
