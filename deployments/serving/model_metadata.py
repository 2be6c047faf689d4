"""What a model takes and gives, as stored beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from deployments.columns import USUAL, Categories, Meaning, meaning_from
from deployments.errors import BadArtifact

DESCRIPTION: Final = "model/MLmodel"
FETCH: Final = "fetch the version again, or train it anew"


class Kind(StrEnum):
    """How a feature enters the frame: as a float64, or as the text of a category."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class Output(StrEnum):
    """What `/invocations` answers with."""

    PREDICTION = "prediction"
    PROBABILITY = "probability"


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column. `type` is MLflow's name (double, long, string, …); one that is not required may be absent.

    `categories` are those that training saw; None: nobody knows them, as of every number. `meaning` is how its values
    are read, and `meant` looks up what a category is to the model.
    """

    name: str
    kind: Kind
    type: str
    required: bool
    categories: frozenset[str] | None = None
    meaning: Meaning = USUAL
    meant: Categories = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "meant", Categories(self.categories, self.meaning))


@dataclass(frozen=True, slots=True)
class Description:
    """What a model takes and gives, as stored beside it. A regression has no `classes`.

    `unknown` is the share of the rows held out by training with a category that it never saw, by column with any.
    """

    product: str
    output: Output
    classes: tuple[Any, ...]
    features: tuple[Feature, ...]
    unknown: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def only_numbers(self) -> bool:
        """Whether the model takes nothing but numbers, so that its rows may come as one matrix."""
        return all(feature.kind is Kind.NUMERIC for feature in self.features)


def read_description(folder: Path) -> Description:
    """What stands about the model in its MLmodel file. Raises `BadArtifact` if something is missing there."""
    import yaml

    path = folder / DESCRIPTION
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe loaders
        ours = document["metadata"]["seatrial"]
        columns = {feature["name"]: feature for feature in ours["features"]}
        return Description(
            product=str(ours["product"]),
            output=Output(ours["output"]),
            classes=tuple(ours.get("classes") or ()),
            features=tuple(_feature(column, columns) for column in json.loads(document["signature"]["inputs"])),
            unknown={str(name): float(share) for name, share in (ours.get("unknown") or {}).items()},
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise BadArtifact(f"{path} does not describe a model ({type(error).__name__}: {error}): {FETCH}") from error


def _feature(column: dict[str, Any], ours: dict[str, dict[str, Any]]) -> Feature:
    name = column["name"]
    kind, meaning = Kind(ours[name]["kind"]), meaning_from(ours[name].get("values", {}))
    return Feature(name, kind, str(column["type"]), bool(column.get("required", True)), meaning=meaning)
