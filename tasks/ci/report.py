"""What the trials of a change found: as Markdown for a pull or merge request, and as JSON."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from deployments.plurals import counted
from tasks.ci.changed_specs import Fate
from tasks.ci.comment_markdown import fenced, fold, table, text
from tasks.ci.trial import Gate, Outcome, Training, Trial
from tasks.data_validation.findings import ValidationReport

# By which a later run finds the comment that it replaces.
MARK: Final = "<!-- seatrial-ci -->"
# GitHub takes 65,536 characters; what is around a comment needs some.
LONGEST: Final = 60_000
_SIGNS: Final = {
    Outcome.PASSED: "✅",
    Outcome.REFUSED_BY_DATA: "❌",
    Outcome.REFUSED_BY_GATE: "❌",
    Outcome.BROKEN: "💥",
    Outcome.UNREACHABLE: "⚠️",
    Outcome.REMOVED: "🗑️",
}
_MOST_ROWS: Final = 100


def to_markdown(trials: Sequence[Trial], base: str, note: str = "") -> str:
    """Head, a table with a line a product, then each product with its details folded; shortened to LONGEST characters.

    `base` names what was compared with, empty for nothing.
    """
    head = _head(trials, base, note)
    levels: tuple[Callable[[Trial], Iterable[str]], ...] = (
        _details,
        _reasons,
        lambda trial: _reasons(trial, most=1),
        lambda trial: (),
    )
    for number, level in enumerate(levels):
        cut = ["", "Shortened: `--json` tells all of it."] if number else []
        written = "\n".join([*head, *(line for each in trials for line in level(each)), *cut]).rstrip() + "\n"
        if len(written) <= LONGEST:
            return written
    raise AssertionError("the head alone is longer than a comment may be")


def to_document(trials: Sequence[Trial], commit: str | None, code: int) -> dict[str, Any]:
    """As JSON; a part that was not come to is null."""
    return {"base": commit, "exit_code": code, "specs": [_document(each) for each in trials]}


def exit_code(trials: Sequence[Trial]) -> int:
    """Of all: a broken spec counts before what could not be tried, and that before a refusal."""
    codes = {each.exit_code for each in trials}
    return next((code for code in (2, 1, 5, 3) if code in codes), 0)


def _head(trials: Sequence[Trial], base: str, note: str) -> list[str]:
    against = f" against {text(base)}" if base else ""
    if not trials:
        return [MARK, "## Seatrial", "", f"No spec changed{against}: nothing to try.", *_noted(note)]
    passed = sum(each.exit_code == 0 for each in trials)
    verdict = "all is well" if passed == len(trials) else f"{len(trials) - passed} not"
    title = f"## Seatrial: {counted(len(trials), 'spec')} {'looked at' if not base else 'changed'}, {verdict}"
    shown = [(_sign(each), each.product, each.spec, each.fate, _data(each), _scores(each)) for each in trials]
    lines = table(("", "product", "spec", "", "data", "gate"), shown[:_MOST_ROWS])
    more = [f"\nAnd {counted(len(shown) - _MOST_ROWS, 'spec')} more."] if len(shown) > _MOST_ROWS else []
    return [MARK, title, "", *lines, *more, *_noted(note), ""]


def _noted(note: str) -> list[str]:
    return ["", text(note)] if note else []


def _sign(trial: Trial) -> str:
    return f"{_SIGNS[trial.outcome]} {trial.outcome}"


def _data(trial: Trial) -> str:
    if trial.data is None:
        return ""
    found = [counted(len(trial.data.findings), "check"), counted(len(trial.data.warnings), "warning")]
    return ", ".join([f"{len(trial.data.critical)} critical", *found] if trial.data.critical else found)


def _scores(trial: Trial) -> str:
    if trial.gate is None:
        return ""
    rules = [row for row in trial.gate.rows if row["candidate"] and row["limit"]]
    return ", ".join(dict.fromkeys(f"{row['metric']} {row['candidate']}" for row in rules))


def _reasons(trial: Trial, most: int = _MOST_ROWS) -> Iterator[str]:
    yield f"### {trial.product}: {trial.outcome}"
    yield ""
    if trial.problems:
        yield from (f"- {text(each)}" for each in trial.problems[:most])
        if len(trial.problems) > most:
            yield f"- and {len(trial.problems) - most} more"
        yield ""
    if trial.gate is not None:
        yield f"Held against {text(trial.gate.against)}.\n" if trial.gate.compared else f"{text(trial.gate.against)}.\n"
    yield from (f"{text(each)}\n" for each in trial.notes[:most])


def _details(trial: Trial) -> Iterator[str]:
    yield from _reasons(trial)
    yield from _plan(trial)
    if trial.data is not None:
        yield from fold(f"Data: {_verdict(trial.data)}", _findings(trial.data))
    if trial.training is not None and trial.gate is not None:
        yield from fold(
            f"Gate: {'passed' if trial.gate.passed else 'refused'}, {counted(trial.training.held_out, 'row')} held out",
            _gate(trial.gate, trial.training),
        )


def _plan(trial: Trial) -> Iterator[str]:
    coming = [f"Next by its schedule: {', '.join(trial.next_runs)}"] if trial.next_runs else []
    if trial.fate is Fate.CHANGED and not trial.differences:
        yield "The spec says the same as before; a file that it names differs.\n"
    elif trial.differences:
        rows = [(each.what, each.before, each.now) for each in trial.differences[:_MOST_ROWS]]
        left = len(trial.differences) - len(rows)
        more = [f"\nAnd {left} more."] if left else []
        title = f"What it would do otherwise: {counted(len(trial.differences), 'difference')}"
        yield from fold(title, [*table(("what", "before", "now"), rows), *more])
    if trial.steps_diff:
        yield from fold("Steps of a rollout, before and now", [*fenced(trial.steps_diff, "diff"), "", *coming])
    elif trial.fate is not Fate.SAME and trial.steps:
        title = f"Steps of a rollout ({'the same as before' if trial.differences else len(trial.steps)})"
        yield from fold(title, [*fenced(trial.steps), "", *coming])


def _verdict(report: ValidationReport) -> str:
    return f"{'passed' if report.passed else 'refused'}, {counted(report.rows, 'row')}"


def _findings(report: ValidationReport) -> list[str]:
    failed = [each for each in report.findings if not each.passed]
    passed = len(report.findings) - len(failed)
    listed = [(each.severity, each.column or "table", each.message) for each in failed[:_MOST_ROWS]]
    lines = table(("severity", "column", "what"), listed) if listed else []
    return [*lines, "", f"{counted(passed, 'check')} passed."]


def _gate(gate: Gate, training: Training) -> list[str]:
    names = ("metric", "result", "candidate", "champion", "limit", "rule", "reason")
    sample = "" if training.rows == training.of else f", a sample of {training.of:,}; a release learns from all of them"
    return [
        *table(names, [[row[name] for name in names] for row in gate.rows]),
        "",
        f"{text(training.algorithm)}, fitted in {training.seconds:.1f} s on "
        f"{counted(training.rows - training.held_out, 'row')}, judged on {training.held_out:,}{sample}.",
        *(f"- {text(each)}" for each in training.warnings[:10]),
    ]


def _document(trial: Trial) -> dict[str, Any]:
    data, training, gate = trial.data, trial.training, trial.gate
    return {
        "spec": trial.spec,
        "product": trial.product,
        "fate": trial.fate.value,
        "outcome": trial.outcome.value,
        "exit_code": trial.exit_code,
        "problems": list(trial.problems),
        "notes": list(trial.notes),
        "differences": [{"what": each.what, "before": each.before, "now": each.now} for each in trial.differences],
        "steps": list(trial.steps),
        "steps_diff": list(trial.steps_diff),
        "next_runs": list(trial.next_runs),
        "data": data
        and {
            "rows": data.rows,
            "checks": len(data.findings),
            "critical": [each.message for each in data.critical],
            "warnings": [each.message for each in data.warnings],
        },
        "training": training
        and {
            "rows": training.rows,
            "of": training.of,
            "held_out": training.held_out,
            "algorithm": training.algorithm,
            "seconds": round(training.seconds, 2),
            "warnings": list(training.warnings),
        },
        "gate": gate
        and {"passed": gate.passed, "compared": gate.compared, "against": gate.against, "rows": list(gate.rows)},
    }
