"""Candidate and champion on the same held-out rows, each loaded from the files that are served."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.errors import BadArtifact, BadData, BadModel
from deployments.registry.model_folder import MODEL_FILE
from deployments.settings import Settings
from deployments.trusted_types import DEFAULT_TRUSTED_TYPES, load_model
from tasks.gate.rule_checks import GateVerdict, Unscorable, judge
from tasks.gate.scoring import Answers, Scores, is_constant, score
from tasks.models.estimator import make_importable
from tasks.models.mlmodel_metadata import read_card
from tasks.models.predictions import predict_rows
from tasks.product_spec import ProductSpec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of both and the verdict. `champion` is None if there is none or it cannot score: the verdict tells."""

    candidate: Scores
    champion: Scores | None
    verdict: GateVerdict


@dataclass(frozen=True, slots=True)
class Champion:
    """The model folder of the champion, and the user's own types that its spec allowed it to hold."""

    folder: Path
    trusted_types: tuple[str, ...] = ()


def evaluate(
    spec: ProductSpec,
    held_out: "pd.DataFrame",
    candidate: Path,
    champion: Champion | Unscorable | None,
    settings: Settings,
) -> Evaluation:
    """Judges the model folder `candidate` on `held_out`, against `champion` if there is one.

    Each model gets its own columns, as its card says: the champion may have been trained with others. Raises
    `BadArtifact`, `BadData` or `BadModel` if the candidate cannot be loaded or cannot score the rows.
    """
    answers = _answers(spec, held_out, candidate, _trusted(settings, spec.model.trusted_types))
    scores = score(spec.model.task, answers)
    former = _former(spec, held_out, champion, settings) if isinstance(champion, Champion) else champion
    verdict = judge(spec.gate, scores, former, constant=is_constant(answers))
    return Evaluation(scores, former if isinstance(former, Scores) else None, verdict)


def _former(spec: ProductSpec, held_out: "pd.DataFrame", champion: Champion, settings: Settings) -> Scores | Unscorable:
    trusted = _trusted(settings, champion.trusted_types)
    try:
        return score(spec.model.task, _answers(spec, held_out, champion.folder, trusted))
    except (BadArtifact, BadData, BadModel) as error:
        return Unscorable(str(error))


def _trusted(settings: Settings, own: tuple[str, ...]) -> tuple[str, ...]:
    make_importable(settings.project.resolve())
    return *DEFAULT_TRUSTED_TYPES, *settings.trusted_types, *own


def _answers(spec: ProductSpec, held_out: "pd.DataFrame", folder: Path, trusted: tuple[str, ...]) -> Answers:
    card = read_card(folder)
    if card.task is not spec.model.task:
        raise BadModel(f"it was trained for {card.task}, but model.task is {spec.model.task}")
    model = load_model(folder / MODEL_FILE, trusted)
    return predict_rows(model, held_out, card.features, spec.data.target, card.task)
