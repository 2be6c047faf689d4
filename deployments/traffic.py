"""Who gets which share of a product's requests: the value that routers, strategies and the journal speak in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

# The smallest share is a hundredth of a percent.
PARTS: Final = 10_000
DEFAULT_KEY: Final = "x-seatrial-key"

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Weights:
    """Share of requests per model version, in percent (0–100, at most two decimals) that add up to exactly 100.

    There is no default weight anywhere: a version that is not named gets nothing. Raises ValueError otherwise.
    """

    percents: Mapping[int, float]

    def __post_init__(self) -> None:
        parts = {version: parts_of(percent, f"weight of v{version}") for version, percent in self.percents.items()}
        total = sum(parts.values())
        if total != PARTS:
            given = (
                ", ".join(f"v{version} {percent:g} %" for version, percent in self.percents.items()) or "none is given"
            )
            raise ValueError(f"weights add up to {percent_of(total):g}, not 100: {given}")
        percents = {version: percent_of(part) for version, part in parts.items()}
        object.__setattr__(self, "percents", MappingProxyType(percents))

    @classmethod
    def all_to(cls, version: int) -> "Weights":
        """Everything to one version."""
        return cls({version: 100})

    @classmethod
    def of_parts(cls, parts: Mapping[int, int]) -> "Weights":
        """From ten-thousandths per version, which must add up to 10,000."""
        return cls({version: percent_of(part) for version, part in parts.items()})

    @property
    def parts(self) -> Mapping[int, int]:
        """Ten-thousandths per version, by ascending version; they add up to 10,000."""
        return {version: round(percent * 100) for version, percent in sorted(self.percents.items())}

    def of(self, version: int) -> float:
        """Percent of `version`; 0 for one that is not named."""
        return self.percents.get(version, 0)

    def __str__(self) -> str:
        return ", ".join(f"v{version} {percent:g} %" for version, percent in sorted(self.percents.items()) if percent)


@dataclass(frozen=True, slots=True)
class Backend:
    """The servers of one version. `addresses` are Unix socket paths or `host:port`, never empty for a live version."""

    version: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """Requests whose header or cookie (exactly one is given) has just this value go to `version`, whatever the weights.

    Raises ValueError for a name that no request can carry, or an empty value.
    """

    version: int
    value: str
    header: str | None = None
    cookie: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", _checked_place(self.header, self.cookie))
        if not self.value or not self.value.isprintable():
            raise ValueError(f"a match cannot be on the value {self.value!r}: give printable text")

    def __str__(self) -> str:
        place = f"header {self.header}" if self.header else f"cookie {self.cookie}"
        return f"{place}: {self.value} to v{self.version}"


@dataclass(frozen=True, slots=True)
class Mirror:
    """`percent` of the split's requests (above 0, at most two decimals) are also sent to `version`.

    Nobody gets its answers. Raises ValueError for a percent that mirrors nothing.
    """

    version: int
    percent: float

    def __post_init__(self) -> None:
        part = parts_of(self.percent, f"mirror to v{self.version}")
        if not part:
            raise ValueError(f"a mirror of 0 % to v{self.version} mirrors nothing: leave it out")
        object.__setattr__(self, "percent", percent_of(part))

    @property
    def parts(self) -> int:
        """Ten-thousandths of the requests."""
        return round(self.percent * 100)

    def __str__(self) -> str:
        return f"mirror {self.percent:g} % to v{self.version}"


@dataclass(frozen=True, slots=True)
class StickyKey:
    """The header or cookie (exactly one is given) whose value keeps a user with one version.

    Requests without it, or with an empty one, are split by chance, each on its own. Raises ValueError for a name that
    no request can carry.
    """

    header: str | None = None
    cookie: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", _checked_place(self.header, self.cookie))

    def __str__(self) -> str:
        return f"header {self.header}" if self.header else f"cookie {self.cookie}"


def split_in_words(weights: Weights, matches: tuple[Match, ...], mirror: Mirror | None) -> str:
    """Who gets what, on one line."""
    return "; ".join(map(str, (weights, *matches, *([mirror] if mirror else []))))


@dataclass(frozen=True, slots=True)
class Routing:
    """All that a router needs to know of one product: its back ends, and who gets to which of them.

    A back end may have weight 0 (known, warm, reachable only by its preview address). `matches` are tried in order
    before the split; `key` None is the header x-seatrial-key. Raises ValueError for a version that has traffic, a match
    or the mirror but no address, for two matches on the same value, and for a mirror to a version that users meet.
    """

    backends: tuple[Backend, ...]
    weights: Weights
    matches: tuple[Match, ...] = ()
    mirror: Mirror | None = None
    key: StickyKey | None = None

    def __post_init__(self) -> None:
        if self.key == StickyKey(header=DEFAULT_KEY):
            object.__setattr__(self, "key", None)
        reachable = {backend.version for backend in self.backends if backend.addresses}
        missing = sorted({version for version in self.versions if version not in reachable})
        if missing:
            named = ", ".join(f"v{version}" for version in missing)
            raise ValueError(f"{named}: traffic, but no server to answer it")
        places = [(match.header, match.cookie, match.value) for match in self.matches]
        for match, place in zip(self.matches, places, strict=True):
            if places.count(place) > 1:
                raise ValueError(f"two matches are on the same value ({match}): leave one out")
        if self.mirror and (self.weights.of(self.mirror.version) or self.matched(self.mirror.version)):
            raise ValueError(f"v{self.mirror.version} cannot be the mirror: users get its answers already")

    def __str__(self) -> str:
        return f"{split_in_words(self.weights, self.matches, self.mirror)}{f' by {self.key}' if self.key else ''}"

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that must have a server: those with weight, with a match, and the mirror's."""
        weighted = [version for version, percent in self.weights.percents.items() if percent]
        matched = [match.version for match in self.matches]
        mirrored = [self.mirror.version] if self.mirror else []
        return tuple(sorted({*weighted, *matched, *mirrored}))

    def backend(self, version: int) -> Backend | None:
        """The servers of `version`, or None when the router does not know it."""
        return next((backend for backend in self.backends if backend.version == version), None)

    def matched(self, version: int) -> tuple[Match, ...]:
        """The matches that lead to `version`."""
        return tuple(match for match in self.matches if match.version == version)


def parts_of(percent: float, what: str) -> int:
    """A percent as ten-thousandths. Raises ValueError, naming `what`, unless it is 0–100 with at most two decimals."""
    if not 0 <= percent <= 100:
        raise ValueError(f"{what} is {percent:g} %: percents lie between 0 and 100 percent")
    part = round(percent * 100)
    if abs(percent * 100 - part) > 1e-6:
        raise ValueError(f"{what} is {percent!r} %: give at most two decimals")
    return part


def percent_of(part: int) -> float:
    """Ten-thousandths as percent; an int where that is whole."""
    return part / 100 if part % 100 else part // 100


def _checked_place(header: str | None, cookie: str | None) -> str | None:
    """The header's name in lower case, as HTTP compares names without regard to case (RFC 9110, section 5.1)."""
    if (header is None) == (cookie is None):
        raise ValueError(f"give exactly one of header ({header!r}) and cookie ({cookie!r})")
    name = header if header is not None else cookie
    if not _TOKEN.fullmatch(name or "") or (header and "_" in header):
        raise ValueError(f"{name!r} is no name of a {'header' if header is not None else 'cookie'}: use A-Z, 0-9 and -")
    return header.lower() if header is not None else None
