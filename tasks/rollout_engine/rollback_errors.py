"""A way back that fails says it in words for people: the product, what was refused, who serves, and what to do."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from deployments.errors import Busy, SeatrialError
from deployments.wiring import Doors


@contextmanager
def told_of_way_back(product: str, former: int | None, doors: Doors) -> Iterator[None]:
    """A block that puts `former` back (None: nobody, what is left is ended); its errors tell more, in their kind.

    `Busy` is left as it is: somebody else is at it.
    """
    try:
        yield
    except Busy:
        raise
    except SeatrialError as error:
        raise way_back_error(product, former, error, doors) from error


def way_back_error(product: str, former: int | None, error: SeatrialError, doors: Doors) -> SeatrialError:
    """`error`, with all that a person needs to go on."""
    aim = f"v{former} could not be put back altogether" if former is not None else "what is left could not be put right"
    told = copy.copy(error)
    told.args = (
        f"{product}: {aim}: {str(error).rstrip('.')}. {who_is_asked(product, doors)}. Once that is mended "
        f"`seatrial rollback {product}` does the rest at once; a platform that is up tries again by itself.",
    )
    return told


def who_is_asked(product: str, doors: Doors) -> str:
    """Who serves now, as the router itself says, in a sentence."""
    try:
        live = doors.router.read(product)
    except SeatrialError as error:
        return f"Who serves now cannot be told ({error})"
    if live is None:
        return "Nobody serves now: there is no route"
    shares = {version: percent for version, percent in live.weights.percents.items() if percent}
    return f"Now {' and '.join(f'v{version} has {percent:g} % of the traffic' for version, percent in shares.items())}"
