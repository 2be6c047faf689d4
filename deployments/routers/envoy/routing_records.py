"""What each product's routing should be, one small file a product.

The moment that counts is the replacement of the route table. An intention is noted before it and kept after it, so
that a process killed in between leaves the former routing or the new one, never a record that differs from the table.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from deployments.errors import RouterRefused
from deployments.routers.canonical_routing import accepted
from deployments.routers.envoy.config_files import (
    EnvoyFiles,
    Json,
    quarantine,
    read_document,
    write_document,
    write_into_reserve,
)
from deployments.routers.rollback_routing import Retreat
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights


@dataclass(frozen=True, slots=True)
class Records:
    """The routings below `folder`; only the sole writer of the gateway's files may change them."""

    folder: Path

    def all(self) -> dict[str, Routing]:
        """Every product's routing; without those whose record is damaged, which `mending` rebuilds."""
        return self.readable()

    def readable(self) -> dict[str, Routing]:
        """The records that hold what was written, by product."""
        found = {path.stem: _known(path) for path in self._paths()}
        return {product: routing for product, routing in found.items() if routing is not None}

    def damaged(self) -> tuple[Path, ...]:
        """The records that do not: emptied, garbled, not to be read, of another version, or with no product's name."""
        return tuple(path for path in self._paths() if _known(path) is None)

    def keep(self, product: str, routing: Routing) -> None:
        """Write one record; for what is live already, see `intend` for what becomes so."""
        write_document(self._record(product), _to_json(routing))

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("products/*.json") if not path.name.startswith("."))

    def one(self, product: str) -> Routing | None:
        """One product's routing, None if there is none. Raises `RouterRefused` for a record that cannot be read."""
        path = self._record(product)
        return _read(path) if path.is_file() else None

    def retreat(self, product: str) -> Retreat | None:
        """The note of the retreat that the product's routing comes from, None if it was applied."""
        return Retreat.read((read_document(self._record(product)) or {}).get("retreat"))

    def intend(
        self, product: str, routing: Routing | None, version: str, retreat: tuple[EnvoyFiles, Retreat] | None = None
    ) -> None:
        """Note what becomes true with `version` of the route table; None: the product is forgotten.

        A `retreat` is noted in room that was set aside among the files given with it.
        """
        intended: Json = {"product": product, "version": version, "routing": _to_json(routing) if routing else None}
        if retreat is None:
            write_document(self._intention, intended)
            return
        files, note = retreat
        intended["routing"]["retreat"] = note.document()
        write_into_reserve(self._intention, intended, files)

    def settle(self, version: str, in_need: EnvoyFiles | None = None) -> None:
        """Keep the noted intention if the route table has its version, else drop it. Without one nothing happens.

        `in_need` are the files among which room was set aside for it.
        """
        intention = read_document(self._intention) or {}
        product, routing = intention.get("product"), intention.get("routing", ())
        if intention.get("version") == version and isinstance(product, str) and isinstance(routing, dict | None):
            self._keep(product, routing, in_need)
        if self._intention.is_dir():
            quarantine(self._intention)
        self._intention.unlink(missing_ok=True)

    @property
    def _intention(self) -> Path:
        return self.folder / "intention.json"

    def _record(self, product: str) -> Path:
        return self.folder / "products" / f"{product}.json"

    def _keep(self, product: str, routing: Json | None, in_need: EnvoyFiles | None) -> None:
        path = self._record(product)
        if routing is None:
            path.unlink(missing_ok=True)
        elif in_need is not None:
            write_into_reserve(path, routing, in_need)
        else:
            write_document(path, routing)


def _to_json(routing: Routing) -> Json:
    return {
        "backends": {str(backend.version): list(backend.addresses) for backend in routing.backends},
        "weights": {str(version): percent for version, percent in routing.weights.percents.items()},
        "matches": [asdict(match) for match in routing.matches],
        "mirror": asdict(routing.mirror) if routing.mirror else None,
        "key": asdict(routing.key) if routing.key else None,
    }


def _read(path: Path) -> Routing:
    try:
        return accepted(path.stem, _from_json(read_document(path) or {}))
    except (KeyError, TypeError, ValueError, AttributeError, RouterRefused) as error:
        raise RouterRefused(f"{path} is no routing ({error!r}): the next change of any route rebuilds it") from error


def _known(path: Path) -> Routing | None:
    """What the record of a product says, in the form in which every router keeps it; None for a damaged one."""
    try:
        return _read(path)
    except RouterRefused:
        return None


def _from_json(content: Json) -> Routing:
    backends = tuple(Backend(int(version), tuple(addresses)) for version, addresses in content["backends"].items())
    mirror, key = content.get("mirror"), content.get("key")
    return Routing(
        tuple(sorted(backends, key=lambda backend: backend.version)),
        Weights({int(version): percent for version, percent in content["weights"].items()}),
        tuple(Match(**match) for match in content.get("matches", ())),
        Mirror(**mirror) if mirror else None,
        StickyKey(**key) if key else None,
    )
