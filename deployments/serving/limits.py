"""What one request may hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold; `body_bytes` counts a compressed body both as it arrives and as it unpacks."""

    body_bytes: int = 8 * 1024 * 1024
    rows: int = 100_000
