"""A validation report for people: Markdown for Prefect's pages, and one HTML file that needs nothing else."""

import re
from html import escape

from deployments.plurals import counted
from deployments.printable import in_one_line
from tasks.data_validation.findings import Finding, Outcome, Severity, ValidationReport

__all__ = ["Finding", "Outcome", "Severity", "ValidationReport", "to_html", "to_markdown"]

_MARKUP = re.compile(r"[&<>|`*_\[\]\\~]")
_STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --ink: #1d2733; --soft: #66717d; --line: #dedbd2; --card: #fff;
  --bad: #b3261e; --warn: #8a5a00; --good: #2c6e49; }
@media (prefers-color-scheme: dark) { :root { --paper: #12171d; --ink: #e6e9ec; --soft: #98a3ae; --line: #2b343d;
  --card: #1a2129; --bad: #ff8a80; --warn: #f0c36a; --good: #7fd1a0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
p { margin: 0 0 1.5rem; color: var(--soft); }
.totals { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 0 1.5rem; padding: 0; list-style: none; }
.totals li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem;
  min-width: 8rem; color: var(--soft); }
.totals b { display: block; font-size: 1.4rem; color: var(--ink); font-variant-numeric: tabular-nums; }
.frame { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .55rem .9rem; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { font-size: .8rem; color: var(--soft); font-weight: 600; }
.failed, .error { font-weight: 600; }
.critical .failed, .critical .error, b.refused { color: var(--bad); }
.warning .failed, .warning .error, .info .error { color: var(--warn); }
.passed, b.passed { color: var(--good); }
code { font: .92em ui-monospace, monospace; }
"""


def to_markdown(report: ValidationReport) -> str:
    """What did not pass as a list of sentences, then a table with one row a check; every text escaped.

    Prefect cuts a table off at the right, so what was observed stands before the check.
    """
    counts = f"{counted(len(report.findings), 'check')} of {counted(report.rows, 'row')} against {_code(report.suite)}"
    lines = [f"**{'Passed' if report.passed else 'Refused'}**: {counts}", ""]
    told = [("Refused for", report.critical), ("Warnings", report.warnings)]
    for title, findings in told:
        if findings:
            lines += [f"## {title}", "", *(f"- {_plain(finding.message)}" for finding in findings), ""]
    lines += [
        "## All checks",
        "",
        "| outcome | column | observed | severity | check |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *map(_markdown_row, report.findings), ""])


def to_html(report: ValidationReport, title: str) -> str:
    """A whole page, light or dark as the reader's system is; no script, no remote resource, every text escaped."""
    name = escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
        f"<p>{counted(report.rows, 'row')} against <code>{escape(report.suite)}</code>, what did not pass first</p>\n"
        f'{_totals(report)}\n<div class="frame"><table>\n{_HEAD}\n{_body(report)}\n</table></div>\n</body>\n</html>\n'
    )


_HEAD = "<thead><tr><th>Outcome</th><th>Severity</th><th>Column</th><th>Check</th><th>Observed</th></tr></thead>"


def _totals(report: ValidationReport) -> str:
    verdict = "passed" if report.passed else "refused"
    passed = sum(finding.passed for finding in report.findings)
    counts = (("checks", len(report.findings)), ("passed", passed), ("critical", len(report.critical)))
    cells = "".join(
        f"<li><b>{count:,}</b>{label}</li>" for label, count in (*counts, ("warnings", len(report.warnings)))
    )
    return f'<ul class="totals"><li><b class="{verdict}">{verdict}</b>verdict</li>{cells}</ul>'


def _body(report: ValidationReport) -> str:
    rows = "\n".join(_row(finding) for finding in report.findings)
    return f"<tbody>\n{rows}\n</tbody>"


def _markdown_row(finding: Finding) -> str:
    outcome = finding.outcome.value if finding.passed else f"**{finding.outcome.value}**"
    column = _plain(finding.column) if finding.column else "(table)"
    cells = (outcome, column, _plain(finding.observed), finding.severity.value, _plain(finding.check))
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """`text` as it stands: nothing in it is markup, nor ends the line or the cell."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", in_one_line(text))


def _code(text: str) -> str:
    return f"`{in_one_line(text).replace('`', ' ')}`"


def _row(finding: Finding) -> str:
    column = f"<code>{escape(finding.column)}</code>" if finding.column else "(table)"
    outcome = finding.outcome.value
    return (
        f'<tr class="{finding.severity.value}" title="{escape(finding.message)}"><td class="{outcome}">{outcome}</td>'
        f"<td>{finding.severity.value}</td><td>{column}</td>"
        f"<td>{escape(finding.check)}</td><td>{escape(finding.observed)}</td></tr>"
    )
