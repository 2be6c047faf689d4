"""The champion of a product, fetched from an MLflow to be compared with; the registry there is only read."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from deployments.errors import BadArtifact, NotFound, SeatrialError
from deployments.redaction import masked
from deployments.registry import ModelRegistry
from deployments.registry.mlflow_client import database_of
from deployments.settings import Settings
from tasks.gate.evaluate import Champion
from tasks.gate.rule_checks import Unscorable
from tasks.product_spec import ProductSpec

NOBODY = "none"


@dataclass(frozen=True, slots=True)
class Opponent:
    """Who a candidate is compared with: `champion` None for nobody, and `told` says who, or why nobody."""

    champion: Champion | Unscorable | None
    told: str


def address_of(against: str | None, settings: Settings) -> str | None:
    """The MLflow to ask: the given one; without one that of the settings, or of this home if it has one; else None."""
    if against == NOBODY:
        return None
    if against is not None:
        return against
    database = database_of(settings.mlflow_uri)
    return settings.mlflow_uri if database is None or database.is_file() else None


def opponent(spec: ProductSpec, address: str | None, settings: Settings, folder: Path) -> Opponent:
    """The version with the alias `champion` in the MLflow at `address`, its files below `folder`.

    Its files are opened as every model is, by the types that are trusted; but a CI has no key, so that nothing proves
    where they come from. Whatever stands in the way is told, and no error: then nobody is compared with.
    """
    if address is None:
        return Opponent(None, "nothing was compared: no registry was named (--against)")
    shown, database = masked(address), database_of(address)
    try:
        if database is not None and not database.is_file():
            raise NotFound(f"{shown} is not there")
        registry = ModelRegistry(address, folder / "keys")
        found = registry.champion(spec.product)
        if found is None:
            raise NotFound(f"{spec.product} has no champion at {shown}")
        try:
            place = registry.fetch_unproved(found, Path(tempfile.mkdtemp(dir=folder, prefix="champion-")))
        except BadArtifact as error:
            return Opponent(Unscorable(f"{found.name} cannot be had ({error})"), found.name)
    except SeatrialError as error:
        return Opponent(None, f"nothing was compared: {error}")
    return Opponent(Champion(place, spec.model.trusted_types), f"the champion {found.name}")
