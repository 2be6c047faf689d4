"""A prediction that is asked for, from its headers to the end of its answer."""

from dataclasses import dataclass
from typing import Final

from deployments.serving.inference_request import Dialect, Headers
from deployments.serving.tracing import trace_id_of

# In the scope of a request, the tasks that work out answers for the client of its connection.
ANSWERING: Final = "seatrial.answering"
# Why they are cancelled: nobody waits any more; or a request exceeds its time.
CLIENT_LEFT: Final = "the client left"
TOO_LONG: Final = "the request takes too long"


@dataclass(slots=True)
class Call:
    """`named`: the caller gave it its id. `mirrored`: a copy whose answer nobody gets. `since`: on the monotonic clock.

    `aside`: who asked chose the version, or is a run: no user, and no copy either. `key` is the sticky one of a user,
    None for a user without one, and for whoever is none. `read`: its body is here. `late`: it
    was counted as slow already, while it was still being answered. `body_bytes` is what the body takes, once it is
    known; of a large compressed one, what it may take at most. `taken_bytes` is what it took of the room for large
    ones; `held`: somebody beside the loop works at the body, and gives that back. `given_out` is the id as the client
    gets it: with a seal, if the answer is one that feedback may be about.
    """

    dialect: Dialect
    headers: Headers
    request_id: str
    named: bool
    mirrored: bool
    since: float
    key: bytes | None = None
    read: bool = False
    late: bool = False
    body_bytes: int = 0
    given_out: str = ""
    aside: bool = False
    taken_bytes: int = 0
    held: bool = False

    @property
    def names(self) -> dict[str, str]:
        """By which a line of the log finds the request elsewhere."""
        trace = trace_id_of(self.headers)
        return {"request_id": self.request_id} | ({"trace_id": trace} if trace else {})
