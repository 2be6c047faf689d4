"""The gate: candidate and champion on the same held-out rows."""

import shutil

from prefect.cache_policies import NO_CACHE

from deployments import wiring
from deployments.errors import BadArtifact, GateRefused, NotFound
from deployments.settings import Settings, current
from tasks import retry_policies
from tasks.datasets.snapshot import Snapshot, load_snapshot
from tasks.datasets.split import split_by_time
from tasks.decision_log import record
from tasks.final_states import task
from tasks.gate.evaluate import Champion, Evaluation
from tasks.gate.evaluate import evaluate as judge_models
from tasks.gate.rule_checks import GateVerdict, Unscorable, rows_for_table
from tasks.gate.score_report import champion_scores, held_against, rows_without_rule, scores_beside
from tasks.markdown import plain
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
    against = held_against(serving, evaluation, asked=bool(run.spec.gate.against_champion))
    leave_table(f"{run.product}-gate", rows, _in_words(evaluation.verdict, against))
    seen = {name: round(evaluation.candidate.values[name], 4) for name in run.spec.gate.metrics}
    champion = champion_scores(evaluation, run.spec.gate.metrics)
    beside = scores_beside(evaluation, None if serving is None else f"v{serving}")
    asked = {name: beside[name] for name in seen}
    tell("gate.scored", **beside)
    if not evaluation.verdict.passed:
        record(run, "gate.refused", against=against, scores=seen, champion_scores=champion, table=rows)
        tell("gate.refused", against=against, **asked)
        reasons = "\n".join(f"  {reason}" for reason in evaluation.verdict.failures)
        raise GateRefused(f"{run.product}: the candidate is not good enough\n{reasons}")
    record(run, "gate.passed", against=against, scores=seen, champion_scores=champion, table=rows)
    tell("gate.passed", against=against, **asked)
    return evaluation


def _in_words(verdict: GateVerdict, against: str) -> str:
    """Above the table, which Prefect cuts off at the right."""
    answer = "Good enough" if verdict.passed else "**Not good enough**"
    return "\n".join([f"{answer}, held against {against}", "", *(f"- {plain(each)}" for each in verdict.failures)])


def _champion(run: Run, version: int, settings: Settings) -> Champion | Unscorable:
    """The model that serves, whatever name the registry gives it; it may be gone from there, and from this machine.

    It may hold the types that its seal names; without one, those of the spec.
    """
    try:
        model = wiring.registry().model(run.product, version, settings.models)
    except (NotFound, BadArtifact) as error:
        return Unscorable(f"v{version} serves, but its model cannot be had ({error})")
    return Champion(model.folder, model.trusted if model.sealed else run.spec.model.trusted_types)
