"""What a stored model says of itself: the `seatrial` part of the metadata in its MLmodel file.

The model server reads the same: which columns it takes, in which order, and what it answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from deployments.columns import meaning_from, meaning_written
from deployments.errors import BadArtifact
from tasks.models.features import Feature, FeatureKind
from tasks.problem_types import TaskKind
from tasks.product_spec import Output

METADATA: Final = "seatrial"
_MLMODEL: Final = "model/MLmodel"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`classes` in the order of the probabilities, as plain JSON values; empty for a regression.

    `unknown` is the share of the held-out rows with a category that training never saw, by column with any.
    """

    product: str
    task: TaskKind
    output: Output
    classes: tuple[Any, ...]
    features: tuple[Feature, ...]
    unknown: Mapping[str, float] = field(default_factory=dict)


def metadata_of(card: ModelCard) -> dict[str, Any]:
    """The card as it is written: plain values only."""
    return {
        METADATA: {
            "product": card.product,
            "task": card.task.value,
            "output": card.output.value,
            "classes": list(card.classes),
            "features": [
                {"name": each.name, "kind": each.kind.value, "values": meaning_written(each.meaning)}
                for each in card.features
            ],
            "unknown": dict(card.unknown),
        }
    }


def read_card(folder: Path) -> ModelCard:
    """The card of the model folder `folder`. Raises `BadArtifact` if it is missing or not as training writes it."""
    path = folder / _MLMODEL
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))["metadata"][METADATA]
        return ModelCard(
            product=written["product"],
            task=TaskKind(written["task"]),
            output=Output(written["output"]),
            classes=tuple(written["classes"]),
            features=tuple(
                Feature(each["name"], FeatureKind(each["kind"]), meaning_from(each.get("values", {})))
                for each in written["features"]
            ),
            unknown=dict(written.get("unknown", {})),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise BadArtifact(f"{path} does not say what the model takes ({error!r}): train the model anew") from error
