"""Whether the run that carries a rollout was cancelled."""

from collections.abc import Callable

# Why the run was cancelled, or None.
Stop = Callable[[], str | None]


def nobody_stops() -> str | None:
    """A `Stop` where nobody can cancel."""
    return None
