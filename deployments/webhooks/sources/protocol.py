"""What is known of a source: how it signs, and what its events ask for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from deployments.webhooks.requests import Headers, Nothing, Signed, Wish


class Source(Protocol):
    """Stateless. `name` stands in addresses; `usual_rules` is what starts something if nobody says otherwise."""

    @property
    def name(self) -> str:
        """Small letters."""
        ...

    @property
    def usual_rules(self) -> tuple[str, ...]:
        """As `--on` takes them."""
        ...

    def check_rule(self, rule: str) -> None:
        """Raises `BadInput` with those that there are."""
        ...

    def draw_key(self) -> str:
        """A new key, in the form in which the sender wants it."""
        ...

    def verified(self, headers: Headers, body: bytes, keys: Sequence[str], now: datetime) -> Signed:
        """Who signed `body`, as it came, with one of `keys`. Raises `NotTaken` for anything else, and what is late."""
        ...

    def wish(self, payload: Mapping[str, Any], product: str, rules: Sequence[str], signed: Signed) -> Wish | Nothing:
        """What a genuine delivery asks for by these `rules`.

        Raises `NotTaken` for what this source may not ask for, and for what has not the form that the source makes.
        """
        ...

    def sample(
        self, product: str, rules: Sequence[str], version: int, now: datetime
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers (without a signature) and body of a delivery that asks for something by the first of `rules`."""
        ...

    def signature(self, headers: Mapping[str, str], body: bytes, key: str) -> Mapping[str, str]:
        """The header that a sender with this `key` adds."""
        ...
