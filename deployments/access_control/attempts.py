"""A login by a provider that is under way."""

import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login under way, kept by the browser that began it. Each part is drawn for it alone."""

    state: str
    nonce: str
    verifier: str = field(repr=False)

    @classmethod
    def drawn(cls) -> "Attempt":
        """A new one."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
