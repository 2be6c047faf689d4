"""What a validation found: one finding per check, passed or not."""

from dataclasses import dataclass
from enum import StrEnum

from deployments.plurals import counted


class Severity(StrEnum):
    """What a check that did not pass means: stop, look at it, or know it."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Outcome(StrEnum):
    """How a check ended. An error could not be made or had nothing to look at; it never counts as passed."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and how it ended.

    `column` is None for a check of the whole table. `observed` and `message` hold counts, shares and other aggregates,
    never a row's own values.
    """

    check: str
    column: str | None
    severity: Severity
    outcome: Outcome
    observed: str
    message: str

    @property
    def passed(self) -> bool:
        """Neither failed nor unable to tell."""
        return self.outcome is Outcome.PASSED


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """All findings on one table of `rows` rows; `suite` names the suite file."""

    findings: tuple[Finding, ...]
    rows: int
    suite: str

    @property
    def critical(self) -> tuple[Finding, ...]:
        """Critical checks that did not pass."""
        return tuple(one for one in self.findings if not one.passed and one.severity is Severity.CRITICAL)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Warnings that did not pass, and what could not be told at any severity below critical."""
        return tuple(one for one in self.findings if not one.passed and _warns(one))

    @property
    def passed(self) -> bool:
        """No critical check failed or was unable to tell. Warnings may stand."""
        return not self.critical

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "refused"
        found = (counted(len(self.findings), "check"), f"{len(self.critical)} critical")
        counts = ", ".join((*found, counted(len(self.warnings), "warning")))
        return f"{verdict}: {counts}, on {counted(self.rows, 'row')}"


def _warns(finding: Finding) -> bool:
    return finding.severity is Severity.WARNING or (
        finding.severity is Severity.INFO and finding.outcome is Outcome.ERROR
    )
