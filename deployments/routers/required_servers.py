"""Which servers must be well before traffic moves to them."""

from collections.abc import Callable

from deployments.traffic import Routing


def servers_missing(former: Routing | None, wanted: Routing, is_well: Callable[[int, str], bool]) -> tuple[str, ...]:
    """Addresses that keep `wanted` from going live, each with its version; empty when nothing does.

    `is_well` takes a version and an address. A server that is new must be well; a version that gets more (share,
    matches, mirror) needs one that is. Nothing is asked of a version that traffic leaves, so that a dead canary never
    stands in the way of its own rollback.
    """
    found: dict[str, None] = {}
    for backend in wanted.backends:
        well = {address for address in backend.addresses if is_well(backend.version, address)}
        needed = set(backend.addresses) - _known(former, backend.version)
        if _gets_more(former, wanted, backend.version) and not well:
            needed = set(backend.addresses)
        found |= dict.fromkeys(
            f"v{backend.version} at {address}" for address in backend.addresses if address in needed - well
        )
    return tuple(found)


def _known(former: Routing | None, version: int) -> set[str]:
    backend = former.backend(version) if former else None
    return set(backend.addresses) if backend else set()


def _gets_more(former: Routing | None, wanted: Routing, version: int) -> bool:
    before = _gets(former, version) if former else (0, 0, 0)
    return any(now > then for then, now in zip(before, _gets(wanted, version), strict=True))


def _gets(routing: Routing, version: int) -> tuple[float, float, float]:
    mirrored = routing.mirror.percent if routing.mirror and routing.mirror.version == version else 0
    return routing.weights.of(version), len(routing.matched(version)), mirrored
