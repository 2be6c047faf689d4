"""What every journal says no with, in the same words."""

from deployments.errors import Busy, NotFound
from deployments.journals.protocol import Lease
from deployments.process_identity import Owner


def held_by(product: str, other: Owner) -> Busy:
    """Somebody else has the lease."""
    return Busy(
        f"{product}: process {other.pid} on {other.place} is changing its traffic: wait for it to end, or end it"
    )


def is_over(lease: Lease) -> Busy:
    """The lease was given back or taken over."""
    holder = f"process {lease.holder.pid} on {lease.holder.place}"
    return Busy(f"{lease.product}: the lease {lease.token} of {holder} is over; nothing was written")


def is_unknown(product: str, rollout_id: str) -> NotFound:
    """There is no such rollout."""
    return NotFound(f"{product} has no rollout {rollout_id!r}: `seatrial history {product} --json` lists them")
