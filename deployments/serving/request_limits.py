"""What one request may hold and take, and how many are answered at once."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """`body_bytes` counts a compressed body both as it arrives and as it unpacks.

    `time` is how long a request may take from its headers to the last byte of its answer, whoever is slow.
    `in_flight` is how many predictions may be asked for at once; those beyond are told to come again.
    `missing` says whether null is a value; `unknown_categories` whether one that training never saw is;
    `unknown_columns` whether columns that the model does not take are left out, or refused.
    """

    body_bytes: int = 8 * 1024 * 1024
    rows: int = 100_000
    time: timedelta = timedelta(seconds=30)
    in_flight: int = 128
    missing: bool = True
    unknown_categories: bool = True
    unknown_columns: bool = False
