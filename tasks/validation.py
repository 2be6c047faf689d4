"""Checking a snapshot before anything is trained on it."""

from prefect.cache_policies import NO_CACHE

from deployments.errors import ValidationRefused
from deployments.plurals import counted
from tasks import retry_policies
from tasks.data_validation.gx_process import validate_in_child
from tasks.data_validation.report import ValidationReport, to_markdown
from tasks.datasets.snapshot import Snapshot
from tasks.decision_log import record
from tasks.final_states import task
from tasks.operator_log import tell
from tasks.prefect_artifacts import leave_markdown
from tasks.run_context import Run


@task(name="validate", task_run_name="validate {run.product}", cache_policy=NO_CACHE, **retry_policies.NEVER)
def validate(run: Run, snapshot: Snapshot) -> ValidationReport:
    """The report on a snapshot, warnings included. Raises `ValidationRefused` on a critical finding. Only reads."""
    report = validate_in_child(snapshot.path, run.spec, run.window)
    leave_markdown(f"{run.product}-validation", to_markdown(report), f"What the data of {run.product} say")
    for finding in report.warnings:
        tell("data.warning", warning=finding.message)
    if not report.passed:
        tell("data.refused", critical=len(report.critical))
        reasons = "\n".join(f"  {finding.message}" for finding in report.critical)
        many = counted(len(report.critical), "critical check does", "critical checks do")
        raise ValidationRefused(f"{run.product}: {many} not hold on the data\n{reasons}")
    tell("data.validated", checks=len(report.findings), warnings=len(report.warnings))
    record(
        run, "data.validated", checks=len(report.findings), warnings=[finding.message for finding in report.warnings]
    )
    return report
