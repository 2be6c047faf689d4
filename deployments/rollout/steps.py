"""What a plan is made of. A step says what shall be true afterwards, so that doing it twice does no harm."""

from dataclasses import dataclass
from typing import Any, assert_never

from deployments.traffic import Weights


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
    """The gateway splits traffic by `weights`, and said so when read back."""

    weights: Weights

    def __str__(self) -> str:
        return f"shift traffic to {self.weights}"


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
class Retire:
    """`version` answered its last request, and its servers are gone."""

    version: int

    def __str__(self) -> str:
        return f"drain and retire v{self.version}"


Step = Launch | Verify | Shift | Promote | Reinstate | Retire
_BY_NAME: dict[str, type[Step]] = {
    kind.__name__.lower(): kind for kind in (Launch, Verify, Shift, Promote, Reinstate, Retire)
}


def name_of(step: Step) -> str:
    """One lower-case word: the kind of step."""
    return type(step).__name__.lower()


def to_json(step: Step) -> dict[str, Any]:
    """A step as the journal keeps it."""
    match step:
        case Launch(version, replicas):
            return {"step": "launch", "version": version, "replicas": replicas}
        case Shift(weights):
            return {
                "step": "shift",
                "weights": {str(version): percent for version, percent in weights.percents.items()},
            }
        case Verify(version) | Promote(version) | Reinstate(version) | Retire(version):
            return {"step": name_of(step), "version": version}
        case _:
            assert_never(step)


def from_json(document: dict[str, Any]) -> Step:
    """The step that `to_json` wrote. Raises KeyError for one that this version of Seatrial does not know."""
    fields = {key: value for key, value in document.items() if key != "step"}
    if document["step"] == "shift":
        return Shift(Weights({int(version): percent for version, percent in fields["weights"].items()}))
    return _BY_NAME[document["step"]](**fields)
