"""The gate: candidate and champion on the same held-out rows."""

import shutil

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments import wiring
from deployments.errors import GateRefused
from deployments.settings import current
from tasks import retries
from tasks.artifacts import leave_table
from tasks.datasets.snapshot import Snapshot, load_snapshot
from tasks.datasets.split import split_by_time
from tasks.events import tell
from tasks.gate.evaluate import Champion, Evaluation
from tasks.gate.evaluate import evaluate as judge_models
from tasks.gate.verdict import rows_for_table
from tasks.models.train import TrainedModel
from tasks.product import Run
from tasks.recording import record


@task(name="evaluate", task_run_name="evaluate {run.product}", cache_policy=NO_CACHE, **retries.NETWORK)
def evaluate(run: Run, snapshot: Snapshot, candidate: TrainedModel) -> Evaluation:
    """Scores and verdict of a candidate that passed. Raises `GateRefused` with every reason. Only reads."""
    settings, registry = current(), wiring.registry()
    champion = registry.champion(run.product)
    place = registry.fetch_candidate(candidate.run_id, candidate.model_uri, candidate.manifest, settings.candidates)
    try:
        evaluation = judge_models(
            run.spec,
            split_by_time(load_snapshot(snapshot), run.spec.data).evaluation,
            place,
            Champion(registry.fetch(run.product, champion.version, settings.models), champion.facts.trusted_types)
            if champion
            else None,
            settings,
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    rows = rows_for_table(evaluation.verdict)
    against = f"v{champion.version}" if champion else "no champion"
    leave_table(f"{run.product}-gate", rows, f"Is the candidate for {run.product} good enough? Held against {against}")
    seen = {name: round(evaluation.candidate.values[name], 4) for name in run.spec.gate.metrics}
    if not evaluation.verdict.passed:
        record(run, "gate.refused", against=against, scores=seen, table=rows)
        tell("gate.refused", against=against, **seen)
        reasons = "\n".join(f"  {reason}" for reason in evaluation.verdict.failures)
        raise GateRefused(f"{run.product}: the candidate is not good enough\n{reasons}")
    record(run, "gate.passed", against=against, scores=seen, table=rows)
    tell("gate.passed", against=against, **seen)
    return evaluation
