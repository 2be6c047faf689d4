"""What a run leaves in the Prefect pages: tables, links, its name."""

from collections.abc import Sequence

from deployments.analysis.verdict import Verdict
from deployments.local_platform.addresses import read_addresses
from deployments.redaction import masked
from deployments.rollout.state import RolloutState
from deployments.settings import current
from tasks.markdown import plain
from tasks.prefect_runs import name_present_run
from tasks.run_context import Run


def leave_table(key: str, rows: Sequence[dict[str, str]], description: str) -> None:
    """A table under `key` (lower-case letters, digits, dashes); a newer run's table becomes its next version."""
    from prefect.artifacts import create_table_artifact

    create_table_artifact(table=list(rows), key=key, description=description)


def leave_evidence(state: RolloutState, step: str, verdict: Verdict) -> None:
    """What each metric said at the end of an observation, and what follows from it."""
    rows = [
        {
            "metric": finding.metric + (" (dry run)" if finding.dry_run else ""),
            "stable": _rate(finding.stable),
            "candidate": _rate(finding.candidate),
            "harm": f"evidence {finding.harm:.4g} of {finding.harm_needed:.4g}",
            "not worse": "" if finding.safe is None else f"evidence {finding.safe:.4g} of {finding.safe_needed:.4g}",
        }
        for finding in verdict.findings
    ]
    # Sentences stand above the table: Prefect cuts one off at the right.
    said = f"**v{state.candidate}, {plain(step)}: {verdict.ruling}.** {plain(verdict.reason)}"
    words = [f"- {plain(each.sentence)}" for each in verdict.findings if each.sentence != verdict.reason]
    leave_table(f"{state.product}-evidence", rows, "\n".join([said, "", *words]))


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def leave_links(run: Run, version: int) -> None:
    """Where to look further: the version in MLflow's pages, and the address that users call."""
    from prefect.artifacts import create_link_artifact

    settings, known = current(), read_addresses(current())
    if mlflow := known.url("mlflow") if settings.has_own_mlflow else masked(settings.mlflow_uri):
        link = f"{mlflow}/#/models/{run.product}/versions/{version}"
        create_link_artifact(
            link=link,
            link_text=f"{run.product} v{version} in MLflow",
            key=f"{run.product}-mlflow",
            description="its page in the model registry",
        )
    if gateway := known.url("gateway"):
        link = f"{gateway}/v2/models/{run.product}"
        create_link_artifact(
            link=link,
            link_text=f"{run.product} at the gateway",
            key=f"{run.product}-gateway",
            description=f"what it asks for and answers; predictions come from {gateway}/{run.product}/invocations",
        )


def leave_markdown(key: str, text: str, description: str) -> None:
    """A page of Markdown under `key`."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(markdown=text, key=key, description=description)


def name_run(run: Run, version: int, doing: str) -> None:
    """Give the flow run a name that tells product and version, such as `flights v3 release`, if Prefect answers."""
    name_present_run(f"{run.product} v{version} {doing}")
