"""Making a candidate that passed the gate a version of its product."""

from contextlib import suppress

from prefect.cache_policies import NO_CACHE

from deployments import wiring
from deployments.clock import SystemClock
from deployments.errors import SeatrialError
from deployments.journals.protocol import Journal
from deployments.journals.registration_notes import REGISTERED
from deployments.registry import ModelVersion
from tasks import retry_policies
from tasks.datasets.snapshot import Snapshot
from tasks.decision_log import record
from tasks.final_states import task
from tasks.gate.evaluate import Evaluation
from tasks.markdown import code
from tasks.models.train import TrainedModel, version_facts
from tasks.operator_log import tell
from tasks.prefect_artifacts import leave_links, leave_markdown, name_run
from tasks.run_context import Run


@task(name="register", task_run_name="register {run.product}", cache_policy=NO_CACHE, **retry_policies.NETWORK)
def register(run: Run, snapshot: Snapshot, candidate: TrainedModel, evaluation: Evaluation) -> int:
    """The number of the version. Idempotent by MLflow run: a repeated call finds the version that is there."""
    facts = version_facts(candidate, run.spec, snapshot, evaluation.candidate, SystemClock().now())
    version = wiring.registry().register(
        run.product, candidate.run_id, candidate.model_uri, facts, beyond=_highest_known(run.product, wiring.journal())
    )
    _describe(run, version.version)
    name_run(run, version.version, "release")
    leave_links(run, version.version)
    leave_markdown(f"{run.product}-version", _card(version), f"{version.name}, as it stands in the registry")
    tell("model.registered", version=f"v{version.version}", size=f"{facts.size_mb:.2f} MB")
    record(run, REGISTERED, version=version.version, mlflow_run=candidate.run_id, seal=version.seal)
    return version.version


def _describe(run: Run, version: int) -> None:
    """Names on MLflow's pages; without them a release is as good."""
    with suppress(SeatrialError):
        wiring.registry().describe(run.product, version, run.spec.description)


def _highest_known(product: str, journal: Journal) -> int:
    """The newest number that was ever given; the registry may have been renamed, emptied or lost since."""
    given = (event.detail.get("version") for event in journal.events(product) if event.kind == REGISTERED)
    rolled_out = (each.candidate for each in journal.rollouts(product))
    return max((*(int(number) for number in given if number), *rolled_out), default=0)


def _card(version: ModelVersion) -> str:
    facts = version.facts
    metrics = "\n".join(f"| {name} | {value:.4f} |" for name, value in facts.metrics.items())
    parameters = ", ".join(code(f"{name}={value}") for name, value in facts.hyperparameters.items())
    return (
        f"# {version.name}\n\n{facts.algorithm} ({facts.model_type}), {facts.size_mb:.2f} MB, "
        f"made {facts.created_at:%Y-%m-%d %H:%M} UTC\n\n"
        f"Data `{facts.data_fingerprint}`, MLflow run `{version.run_id}`\n\n{parameters}\n\n"
        f"| metric | held out |\n| --- | --- |\n{metrics}\n"
    )
