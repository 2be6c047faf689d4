"""What is shown, in parts that are made once for all watchers, each with the number of the look that changed it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from deployments.access_control.principal import Principal
from deployments.access_control.roles import Permission
from flows.entrypoints.control_service.page.live_look import LiveLook, Seen
from flows.entrypoints.control_service.page.overview import overview_parts
from flows.entrypoints.control_service.page.product_page import product_parts

# A page says who works on a rollout, which no event tells.
_AGAIN_AFTER_SECONDS: Final = 10.0
_MOST_VIEWS: Final = 24
OVERVIEW: Final = ""

Rights = tuple[bool, ...]
Make = Callable[[], Mapping[str, str]]


@dataclass(slots=True)
class Part:
    """HTML, and the revision of the board since which it has been that."""

    html: str
    since: int


@dataclass(slots=True)
class _View:
    basis: object = None
    made_at: float = 0.0
    parts: dict[str, Part] = field(default_factory=dict)


@dataclass(slots=True)
class Board:
    """Of a service that runs. `revision` grows with every part that changes; `epoch` tells it from a service before."""

    look: LiveLook
    epoch: str
    revision: int = 0
    _views: dict[tuple[str, Rights], _View] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def parts(self, product: str, principal: Principal) -> tuple[Seen, int, Mapping[str, Part]]:
        """The parts of a page by their ids, as somebody may see them; of the overview for an empty product.

        With them comes the revision that they are of. Raises `NotFound` for a product that nobody knows, and what the
        journal raises.
        """
        seen = self.look.now()
        rights = rights_of(principal, product) if product else ()
        with self._turn:
            view = self._views.pop((product, rights), None) or _View()
            self._views[product, rights] = view
            while len(self._views) > _MOST_VIEWS:
                self._views.pop(next(iter(self._views)))
            self._renew(view, product, principal, seen)
            revision, parts = self.revision, view.parts
        if not product:
            parts = {name: part for name, part in parts.items() if principal.may(Permission.VIEW, product_of(name))}
        return seen, revision, parts

    def _renew(self, view: _View, product: str, principal: Principal, seen: Seen) -> None:
        if product:
            now = self.look.sources.clock.monotonic()
            basis = seen.changed.get(product), seen.trouble
            if basis == view.basis and now - view.made_at < _AGAIN_AFTER_SECONDS:
                return
            view.basis, view.made_at = basis, now
            made = dict(product_parts(self.look.product(product), seen, principal))
        else:
            if view.basis == seen.number:
                return
            known = view.basis if isinstance(view.basis, int) else 0
            view.basis = seen.number
            changed = {name for name, number in seen.changed.items() if number > known}
            kept = {name: part.html for name, part in view.parts.items() if product_of(name) in seen.reports}
            made = kept | dict(overview_parts(seen, changed))
        news = {name: html for name, html in made.items() if name not in view.parts or view.parts[name].html != html}
        self.revision += bool(news)
        view.parts = {
            name: Part(news[name], self.revision) if name in news else view.parts[name] for name in sorted(made)
        }


def product_of(part: str) -> str:
    """The product that a part of the overview is about."""
    return part.partition("-")[2]


def rights_of(principal: Principal, product: str) -> Rights:
    """What tells the pages of two people of one product apart."""
    return tuple(principal.may(permission, product) for permission in Permission)
