"""What a plan is made of. A step says what shall be true afterwards, so that doing it twice does no harm."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, assert_never

from deployments.durations import format_duration
from deployments.traffic import Match, Mirror, StickyKey, Weights, split_in_words


@dataclass(frozen=True, slots=True)
class Launch:
    """Servers of `version` run and are ready."""

    version: int
    replicas: int

    def __str__(self) -> str:
        servers = "server" if self.replicas == 1 else "servers"
        return f"launch {self.replicas} {servers} of v{self.version} and wait until ready"


@dataclass(frozen=True, slots=True)
class Verify:
    """Each server of `version` answered sample rows exactly as training did."""

    version: int

    def __str__(self) -> str:
        return f"verify v{self.version} with sample rows"


@dataclass(frozen=True, slots=True)
class Shift:
    """The gateway splits traffic by `weights`, `matches` and `mirror`, and said so when read back.

    `key` keeps a user with one version; None: the gateway's own header.
    """

    weights: Weights
    matches: tuple[Match, ...] = ()
    mirror: Mirror | None = None
    key: StickyKey | None = None

    def asks(self, version: int) -> bool:
        """Whether any request goes to `version` by this split, be it a copy."""
        matched = any(match.version == version for match in self.matches)
        mirrored = self.mirror is not None and self.mirror.version == version
        return bool(self.weights.of(version)) or matched or mirrored

    def __str__(self) -> str:
        return f"shift traffic to {split_in_words(self.weights, self.matches, self.mirror)}"


class Until(StrEnum):
    """What ends an observation, apart from harm."""

    TIME = "time"  # enough observed healthy time
    BOUND = "bound"  # the bound on harm is acceptable at the next weight
    PROOF = "proof"  # every metric that must be is proved not worse than its margin
    SAMPLE = "sample"  # enough requests (shadow: pairs) to compare


@dataclass(frozen=True, slots=True)
class Observe:
    """The candidate was watched under live traffic, and nothing spoke against it.

    It lasts for at least `time` of observed healthy time (a hold does not count), and until what `until` names: for
    BOUND the weight in percent that comes `next`, for SAMPLE the number of requests (pairs) per version in `sample`.
    """

    until: Until
    time: timedelta
    next: float | None = None
    sample: int | None = None

    def __str__(self) -> str:
        least = f"for {format_duration(self.time)}" if self.time else ""
        match self.until:
            case Until.TIME:
                rest = ""
            case Until.BOUND:
                rest = f"until {self.next:g} % is known to do no harm"
            case Until.PROOF:
                rest = "until proved not worse"
            case Until.SAMPLE:
                rest = f"until {self.sample} are compared"
            case _:
                assert_never(self.until)
        return " ".join(word for word in ("watch", least, "and" if least and rest else "", rest) if word)


@dataclass(frozen=True, slots=True)
class Approve:
    """A person agreed to what comes next."""

    question: str

    def __str__(self) -> str:
        return f"ask a person: {self.question}"


@dataclass(frozen=True, slots=True)
class Conclude:
    """The comparison is written down. With `winner_only` the rollout goes on only if `version` won."""

    version: int
    winner_only: bool

    def __str__(self) -> str:
        return f"report how v{self.version} compares{', and go on only if it won' if self.winner_only else ''}"


@dataclass(frozen=True, slots=True)
class Promote:
    """The registry calls `version` the champion."""

    version: int

    def __str__(self) -> str:
        return f"promote v{self.version} to champion"


@dataclass(frozen=True, slots=True)
class Reinstate:
    """The registry calls `version`, a former champion, champion again; the one it replaces is marked rolled back."""

    version: int

    def __str__(self) -> str:
        return f"reinstate v{self.version} as champion"


@dataclass(frozen=True, slots=True)
class Dismiss:
    """`version` is nobody's challenger any more; it stays in the registry, and may be rolled out again."""

    version: int

    def __str__(self) -> str:
        return f"v{self.version} is challenger no more"


@dataclass(frozen=True, slots=True)
class Retire:
    """`version` answered its last request, and its servers are gone."""

    version: int

    def __str__(self) -> str:
        return f"drain and retire v{self.version}"


Act = Launch | Verify | Shift | Conclude | Promote | Reinstate | Dismiss | Retire
# What is looked at again and again until it ends; all else acts once.
Wait = Observe | Approve
Step = Act | Wait
_OF_A_VERSION: dict[str, type[Verify | Promote | Reinstate | Dismiss | Retire]] = {
    kind.__name__.lower(): kind for kind in (Verify, Promote, Reinstate, Dismiss, Retire)
}


def name_of(step: Step) -> str:
    """One lower-case word: the kind of step."""
    return type(step).__name__.lower()


def to_json(step: Step) -> dict[str, Any]:
    """A step as the journal keeps it."""
    kind = {"step": name_of(step)}
    match step:
        case Launch(version, replicas):
            return kind | {"version": version, "replicas": replicas}
        case Shift(weights, matches, mirror, key):
            return kind | {
                "weights": {str(version): percent for version, percent in weights.percents.items()},
                "matches": [[each.version, each.value, each.header, each.cookie] for each in matches],
                "mirror": [mirror.version, mirror.percent] if mirror else None,
                "key": [key.header, key.cookie] if key else None,
            }
        case Observe(until, time, next_weight, sample):
            return kind | {
                "until": until.value,
                "time": time.total_seconds(),
                "next": next_weight,
                "sample": sample,
            }
        case Approve(question):
            return kind | {"question": question}
        case Conclude(version, winner_only):
            return kind | {"version": version, "winner_only": winner_only}
        case Verify(version) | Promote(version) | Reinstate(version) | Dismiss(version) | Retire(version):
            return kind | {"version": version}
        case _:
            assert_never(step)


def from_json(document: dict[str, Any]) -> Step:
    """The step that `to_json` wrote. Raises KeyError for one that this version of Seatrial does not know."""
    values = {key: value for key, value in document.items() if key != "step"}
    match document["step"]:
        case "launch":
            return Launch(**values)
        case "shift":
            mirror, key = values.get("mirror"), values.get("key")
            return Shift(
                Weights({int(version): percent for version, percent in values["weights"].items()}),
                tuple(Match(*each) for each in values.get("matches", ())),
                Mirror(*mirror) if mirror else None,
                StickyKey(*key) if key else None,
            )
        case "observe":
            return Observe(Until(values["until"]), timedelta(seconds=values["time"]), values["next"], values["sample"])
        case "approve":
            return Approve(**values)
        case "conclude":
            return Conclude(**values)
        case kind:
            return _OF_A_VERSION[kind](**values)
