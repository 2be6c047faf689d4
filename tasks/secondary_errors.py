"""What goes wrong while an error is dealt with: no error takes the place of another, both are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployments.journals.protocol import Lease
    from deployments.wiring import Doors


@contextmanager
def noting_failures(first: BaseException, doing: str) -> Iterator[None]:
    """A block without which `first` is raised all the same: what fails in it is told by a note on `first`.

    `doing` is what the block does, such as "writing this down".
    """
    try:
        yield
    except Exception as second:  # noqa: BLE001 - whatever it is, it may not hide what came first
        if second is not first:
            first.add_note(f"{doing} failed, too: {_explained(second)}")


@contextmanager
def failing_instead(first: BaseException, doing: str) -> Iterator[None]:
    """A block that is to make `first` good: what fails in it is raised, for it is the worse news, and tells of both."""
    try:
        yield
    except Exception as second:
        if second is first:
            raise
        second.add_note(f"this was {doing}, after: {_explained(first)}")
        raise second from first


@contextmanager
def lease_released_after(lease: "Lease", doors: "Doors") -> Iterator[None]:
    """A block after which the lease is given back, whatever became of it."""
    try:
        yield
    except BaseException as first:
        with noting_failures(first, "giving the lease back"):
            doors.journal.release(lease)
        raise
    doors.journal.release(lease)


def _explained(error: BaseException) -> str:
    from tasks.rollout_engine.reasons import explain  # commands that fail at nothing need none of it

    return explain(error)


def full_text(error: BaseException) -> str:
    """An error with its notes, one a line."""
    return "\n".join((str(error), *getattr(error, "__notes__", ())))
