"""One spec on trial in a scratch folder: lint, validation of its data, training on a sample, the gate."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deployments.clock import Clock
from deployments.errors import BadInput, Refused, SeatrialError, TryAgain
from deployments.plurals import counted
from deployments.registry import ModelRegistry
from deployments.settings import Settings
from tasks.ci.champion import opponent
from tasks.ci.changed_specs import Candidate, Fate
from tasks.ci.spec_diff import Difference, differences, next_runs, steps_diff, steps_of, suite_differences
from tasks.data_validation.findings import ValidationReport
from tasks.data_validation.gx_process import validate_in_child
from tasks.data_validation.suite_file import Suite, load_suite
from tasks.datasets.sample import SampleSize, sampled
from tasks.datasets.snapshot import load_snapshot, load_texts, take_snapshot
from tasks.datasets.split import split_by_time
from tasks.gate.evaluate import evaluate
from tasks.gate.rule_checks import CHAMPION, rows_for_table
from tasks.gate.score_report import rows_without_rule
from tasks.models.train import DataFacts, train
from tasks.product_spec import ProductSpec
from tasks.spec_file import load_product
from tasks.spec_lint import check_spec

Tell = Callable[[str], None]


class Outcome(StrEnum):
    """How the trial of a spec ended."""

    PASSED = "passed"
    REFUSED_BY_DATA = "refused by its data"
    REFUSED_BY_GATE = "refused by the gate"
    BROKEN = "broken"
    UNREACHABLE = "not tried"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Training:
    """What was learned from: `rows` of `of` rows, of which `held_out` judged."""

    rows: int
    of: int
    held_out: int
    algorithm: str
    seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """One row a check, as of `rule_checks.rows_for_table`; `against` says who was compared with, or why nobody."""

    passed: bool
    rows: tuple[dict[str, str], ...]
    compared: bool
    against: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one spec, as far as it came. `exit_code` is 0 for one that passed or is gone."""

    spec: str
    product: str
    fate: Fate
    outcome: Outcome
    exit_code: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    steps: tuple[str, ...] = ()
    steps_diff: tuple[str, ...] = ()
    next_runs: tuple[str, ...] = ()
    data: ValidationReport | None = None
    training: Training | None = None
    gate: Gate | None = None


@dataclass(slots=True)
class _Findings:
    """What a trial found so far."""

    notes: list[str] = field(default_factory=list)
    data: ValidationReport | None = None
    training: Training | None = None
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Where trials are made: `settings` are those of a scratch home, `against` the address of an MLflow, or None."""

    settings: Settings
    size: SampleSize
    against: str | None
    project: Path
    clock: Clock
    tell: Tell


def try_spec(candidate: Candidate, bench: Bench) -> Trial:
    """The trial of one spec. What is wrong with it is told in the result, never raised."""
    shown = _shown(candidate.file, bench.project)
    if candidate.fate is Fate.REMOVED:
        note = "its deployment and its schedule are taken away; what serves it goes on"
        product = candidate.former.spec.product if candidate.former else candidate.file.stem
        return Trial(shown, product, candidate.fate, Outcome.REMOVED, notes=(note,))
    notes = (candidate.note,) if candidate.note else ()
    try:
        spec = load_product(candidate.file)
    except BadInput as error:
        problems = tuple(line.strip() for line in str(error).splitlines()[1:]) or (str(error),)
        return Trial(shown, candidate.file.stem, candidate.fate, Outcome.BROKEN, error.exit_code, problems, notes)
    found, outcome, code, problems = _tried(spec, bench)
    former = candidate.former
    return Trial(
        spec=shown,
        product=spec.product,
        fate=candidate.fate,
        outcome=outcome,
        exit_code=code,
        problems=problems,
        notes=(*notes, *found.notes),
        differences=() if former is None else _differences(former.spec, former.suite, spec),
        steps=steps_of(spec),
        steps_diff=() if former is None else steps_diff(former.spec, spec),
        next_runs=next_runs(spec, bench.clock),
        data=found.data,
        training=found.training,
        gate=found.gate,
    )


def _tried(spec: ProductSpec, bench: Bench) -> tuple[_Findings, Outcome, int, tuple[str, ...]]:
    found = _Findings()
    try:
        checked = check_spec(spec, bench.settings)
        found.notes += checked.notes
        if checked.problems:
            return found, Outcome.BROKEN, BadInput.exit_code, checked.problems
        return found, *_on_data(spec, bench, found)
    except SeatrialError as error:
        outcome = Outcome.UNREACHABLE if isinstance(error, TryAgain) else Outcome.BROKEN
        return found, outcome, error.exit_code, tuple(line.strip() for line in str(error).splitlines())


def _on_data(spec: ProductSpec, bench: Bench, found: _Findings) -> tuple[Outcome, int, tuple[str, ...]]:
    bench.tell(f"{spec.product}: reading and validating its data")
    snapshot = take_snapshot(spec, bench.settings.snapshots)
    found.data = validate_in_child(snapshot.path, spec, None)
    if not found.data.passed:
        return Outcome.REFUSED_BY_DATA, Refused.exit_code, tuple(each.message for each in found.data.critical)
    whole = split_by_time(load_snapshot(snapshot), spec.data)
    split = sampled(whole, bench.size, spec.data)
    bench.tell(f"{spec.product}: training on {len(split.training):,} of {counted(len(whole.training), 'row')}")
    texts = load_texts(snapshot.path)
    trained = train(spec, split, DataFacts(snapshot, texts=texts), bench.settings, bench.clock)
    found.training = Training(
        rows=len(split.training) + len(split.evaluation),
        of=snapshot.rows,
        held_out=len(split.evaluation),
        algorithm=trained.algorithm,
        seconds=trained.fit_seconds,
        warnings=trained.warnings,
    )
    home = bench.settings.home
    registry = ModelRegistry(bench.settings.mlflow_uri, bench.settings.keys_folder)
    stored = registry.fetch_candidate(
        trained.run_id, trained.model_uri, trained.manifest, bench.settings.candidates, round(trained.size_mb * 1e6)
    )
    other = opponent(spec, bench.against, bench.settings, home)
    evaluation = evaluate(spec, split.evaluation, stored, other.champion, bench.settings)
    rows = [*rows_for_table(evaluation.verdict), *rows_without_rule(evaluation, spec.gate.metrics)]
    if other.champion is None:  # a rule that compares was not tried: it did not pass
        rows = [row for row in rows if row["metric"] != CHAMPION]
        rows += [_untried(rule.metric) for rule in spec.gate.against_champion]
    compared, told = evaluation.champion is not None, other.told
    if not compared and other.champion is not None:
        told = f"nothing was compared: {told} cannot score these rows"
    found.gate = Gate(evaluation.verdict.passed, tuple(rows), compared, told)
    if not evaluation.verdict.passed:
        return Outcome.REFUSED_BY_GATE, Refused.exit_code, evaluation.verdict.failures
    return Outcome.PASSED, 0, ()


def _untried(metric: str) -> dict[str, str]:
    empty = dict.fromkeys(("candidate", "champion", "limit"), "")
    rule = "not worse than the champion"
    return {"metric": metric, "result": "not tried", "rule": rule, "reason": "nothing was compared"} | empty


def _differences(former: ProductSpec, suite: Suite | None, spec: ProductSpec) -> tuple[Difference, ...]:
    try:
        now = load_suite(Path(spec.validation.suite))
    except SeatrialError:
        now = None
    return (*differences(former, spec), *suite_differences(suite, now))


def _shown(file: Path, project: Path) -> str:
    return str(file.relative_to(project)) if file.is_relative_to(project) else str(file)
