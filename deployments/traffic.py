"""Who gets which share of a product's requests: the value that routers, strategies and the journal speak in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Weights:
    """Share of requests per model version, in percent (int 0–100) that add up to 100.

    There is no default weight anywhere: a version that is not named gets nothing. Raises ValueError otherwise.
    """

    percents: Mapping[int, int]

    def __post_init__(self) -> None:
        total = sum(self.percents.values())
        if any(not 0 <= percent <= 100 for percent in self.percents.values()):
            raise ValueError(f"weights must lie between 0 and 100 percent: {dict(self.percents)}")
        if total != 100:
            raise ValueError(f"weights add up to {total}, not 100: {dict(self.percents)}")
        object.__setattr__(self, "percents", MappingProxyType(dict(self.percents)))

    @classmethod
    def all_to(cls, version: int) -> "Weights":
        """Everything to one version."""
        return cls({version: 100})

    def of(self, version: int) -> int:
        """Percent of `version`; 0 for one that is not named."""
        return self.percents.get(version, 0)

    def __str__(self) -> str:
        return ", ".join(f"v{version} {percent} %" for version, percent in sorted(self.percents.items()) if percent)


@dataclass(frozen=True, slots=True)
class Backend:
    """The servers of one version. `addresses` are Unix socket paths or `host:port`, never empty for a live version."""

    version: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """All that a router needs to know of one product: its back ends, and their weights.

    A back end may have weight 0 (known, warm, without traffic). Every weighted version has a back end with at least one
    address; raises ValueError otherwise.
    """

    backends: tuple[Backend, ...]
    weights: Weights

    def __post_init__(self) -> None:
        reachable = {backend.version for backend in self.backends if backend.addresses}
        missing = sorted(
            version for version, percent in self.weights.percents.items() if percent and version not in reachable
        )
        if missing:
            raise ValueError(f"versions {missing} have traffic but no server to answer it")

    def backend(self, version: int) -> Backend | None:
        """The servers of `version`, or None when the router does not know it."""
        return next((backend for backend in self.backends if backend.version == version), None)
