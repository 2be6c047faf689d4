"""The gate: candidate and champion on the same held-out rows."""

import shutil

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments import wiring
from deployments.errors import BadArtifact, GateRefused, NotFound
from deployments.settings import Settings, current
from tasks import retry_policies
from tasks.datasets.snapshot import Snapshot, load_snapshot
from tasks.datasets.split import split_by_time
from tasks.decision_log import record
from tasks.gate.evaluate import Champion, Evaluation
from tasks.gate.evaluate import evaluate as judge_models
from tasks.gate.rule_checks import Unscorable, rows_for_table
from tasks.gate.score_report import champion_scores, rows_without_rule, scores_beside
from tasks.models.train import TrainedModel
from tasks.operator_log import tell
from tasks.prefect_artifacts import leave_table
from tasks.rollout_engine.champion import who_serves
from tasks.run_context import Run


@task(name="evaluate", task_run_name="evaluate {run.product}", cache_policy=NO_CACHE, **retry_policies.NETWORK)
def evaluate(run: Run, snapshot: Snapshot, candidate: TrainedModel) -> Evaluation:
    """Scores and verdict of a candidate that passed. Raises `GateRefused` with every reason. Only reads."""
    settings = current()
    serving = who_serves(run.product, wiring.doors(run.spec.rollout))
    place = wiring.registry().fetch_candidate(
        candidate.run_id,
        candidate.model_uri,
        candidate.manifest,
        settings.candidates,
        round(candidate.size_mb * 1e6),
    )
    try:
        evaluation = judge_models(
            run.spec,
            split_by_time(load_snapshot(snapshot), run.spec.data).evaluation,
            place,
            None if serving is None else _champion(run, serving, settings),
            settings,
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    rows = [*rows_for_table(evaluation.verdict), *rows_without_rule(evaluation, run.spec.gate.metrics)]
    against = _against(run, serving)
    leave_table(f"{run.product}-gate", rows, f"Is the candidate for {run.product} good enough? Held against {against}")
    seen = {name: round(evaluation.candidate.values[name], 4) for name in run.spec.gate.metrics}
    champion = champion_scores(evaluation, run.spec.gate.metrics)
    tell("gate.scored", **scores_beside(evaluation, None if serving is None else f"v{serving}"))
    if not evaluation.verdict.passed:
        record(run, "gate.refused", against=against, scores=seen, champion_scores=champion, table=rows)
        tell("gate.refused", against=against, **seen)
        reasons = "\n".join(f"  {reason}" for reason in evaluation.verdict.failures)
        raise GateRefused(f"{run.product}: the candidate is not good enough\n{reasons}")
    record(run, "gate.passed", against=against, scores=seen, champion_scores=champion, table=rows)
    tell("gate.passed", against=against, **seen)
    return evaluation


def _against(run: Run, serving: int | None) -> str:
    """What the candidate was held against, in truth: a champion that no rule compares with is only looked at."""
    if serving is None:
        return "no champion"
    return f"v{serving}" if run.spec.gate.against_champion else f"its limits alone: no rule compares it with v{serving}"


def _champion(run: Run, version: int, settings: Settings) -> Champion | Unscorable:
    """The model that serves, whatever name the registry gives it; it may be gone from there, and from this machine.

    It may hold the types that its seal names; without one, those of the spec.
    """
    try:
        model = wiring.registry().model(run.product, version, settings.models)
    except (NotFound, BadArtifact) as error:
        return Unscorable(f"v{version} serves, but its model cannot be had ({error})")
    return Champion(model.folder, model.trusted if model.sealed else run.spec.model.trusted_types)
