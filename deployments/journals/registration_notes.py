"""What the journal notes of a version when it is registered, or when a person vouches for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from deployments.journals.protocol import Event

REGISTERED: Final = "model.registered"
VOUCHED: Final = "model.vouched"


@dataclass(frozen=True, slots=True)
class Registration:
    """The run that a version came of, and the digest of its seal; None for versions from before there were seals."""

    run: str
    seal: str | None


def registration_of(events: Sequence[Event], version: int) -> Registration | None:
    """What `events` of a product, oldest first, say of a version last; None if they do not know it."""
    for event in reversed(events):
        run, seal = event.detail.get("mlflow_run"), event.detail.get("seal")
        if event.kind in {REGISTERED, VOUCHED} and event.detail.get("version") == version and run:
            return Registration(str(run), None if seal is None else str(seal))
    return None
