"""What a person tells a rollout that is under way."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verb(StrEnum):
    """The orders that there are."""

    PROMOTE = "promote"  # all traffic now; what is still to be observed or approved is left out, the bake is not
    SKIP = "skip"  # the present observation or question is over
    APPROVE = "approve"  # yes to the question that is asked
    PAUSE = "pause"  # weights stand still; harm still rolls back
    RESUME = "resume"
    ABORT = "abort"  # the champion gets everything back


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `number` grows over all orders of a journal; `who` is a user name, `reason` may be empty."""

    number: int
    rollout_id: str
    verb: Verb
    who: str
    reason: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.verb} by {self.who}{f': {self.reason}' if self.reason else ''}"
