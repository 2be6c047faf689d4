"""A first validation suite from the data of a spec, for a person to edit."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.atomic_files import write_atomically
from deployments.clock import SystemClock
from deployments.errors import BadData, BadInput
from deployments.settings import Settings
from tasks.data_spec import as_moment
from tasks.data_validation.builtin_checks import by_severity, guard
from tasks.data_validation.declared_types import read_as_declared
from tasks.data_validation.findings import Severity
from tasks.data_validation.suite_profiler import propose_suite
from tasks.datasets.file_source import fetch, in_its_encoding
from tasks.datasets.snapshot import load_snapshot, required_columns, take_snapshot
from tasks.datasets.source import read_source
from tasks.datasets.split import split_by_time
from tasks.datasets.type_inference import declarations, inferred_columns
from tasks.models.features import features_in, select_features, target_values
from tasks.product_spec import ProductSpec
from tasks.scaffolding.spec_text import declaration
from tasks.spec_file import find_spec, load_product

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Proposal:
    """A suite, and the place where its spec expects one.

    `refusals` and `warnings` are what a release with this suite says of these data, one sentence each. `declared` are
    lines for the spec, below `data`, that say what columns are and how the file is encoded; the suite holds with them,
    and without them where a release does.
    """

    suite: dict[str, Any]
    place: Path
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()

    def write(self) -> Path:
        """Write it where the spec expects it. Raises `BadInput` if there is one: nothing of yours is replaced."""
        if self.place.exists():
            raise BadInput(
                f"{self.place} is there already: move it away first, or compare with `seatrial profile` without --write"
            )
        write_atomically(self.place, f"{json.dumps(self.suite, indent=2, ensure_ascii=False)}\n".encode(), mode=0o644)
        return self.place


def propose(product: str, settings: Settings) -> Proposal:
    """What the data of the spec's window look like, as a suite. Raises `BadData` if they cannot be read at all."""
    spec = load_product(find_spec(product, settings.specs_folder))
    try:
        inferred = _as_inferred(spec)
        frame = load_snapshot(take_snapshot(inferred, settings.snapshots))
    except BadData:
        take_snapshot(spec, settings.snapshots)  # what a release says comes first
        raise
    refusals, warnings = _said_of(spec, settings)
    end = spec.data.window.end
    until = SystemClock().now() if end is None else as_moment(end)
    suite = propose_suite(read_as_declared(frame, inferred)[0], inferred, until)
    return Proposal(suite, Path(spec.validation.suite), refusals, warnings, tuple(_new_lines(spec, inferred)))


def _as_inferred(spec: ProductSpec) -> ProductSpec:
    """`spec` with what can be told of its columns and its file, where it says nothing itself."""
    source = spec.data.source
    source = source if source.sql is not None else in_its_encoding(source, fetch(source))
    table, texts = read_source(source, None, required_columns(spec))
    proposed = declarations(spec, inferred_columns(table, texts, source), table.schema)
    return spec.model_copy(
        update={"data": spec.data.model_copy(update={"source": source, "columns": {**spec.data.columns, **proposed}})}
    )


def _new_lines(spec: ProductSpec, inferred: ProductSpec) -> Iterator[str]:
    if inferred.data.source != spec.data.source:
        yield f"source: {{encoding: {inferred.data.source.encoding}}}"
    new = {name: column for name, column in inferred.data.columns.items() if name not in spec.data.columns}
    if new:
        yield "columns:"
        yield from (f"  {declaration(name, column)}" for name, column in new.items())


def _said_of(spec: ProductSpec, settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What refuses a release of these data, and what it warns of."""
    try:
        frame, unreadable = read_as_declared(load_snapshot(take_snapshot(spec, settings.snapshots)), spec)
    except BadData as error:
        return (str(error),), ()
    found = [finding for finding in by_severity([*unreadable, *guard(frame, spec)]) if not finding.passed]
    critical = [finding.message for finding in found if finding.severity is Severity.CRITICAL]
    others = [finding.message for finding in found if finding.severity is not Severity.CRITICAL]
    return (*critical, *_unreadable(frame, spec)), tuple(others)


def _unreadable(frame: "pd.DataFrame", spec: ProductSpec) -> Iterator[str]:
    """Why no model can be trained on these rows."""
    attempts: tuple[Callable[[], object], ...] = (
        lambda: target_values(frame.dropna(subset=[spec.data.target]), spec.data.target, spec.model.task),
        lambda: select_features(frame, features_in(spec.preprocessing)),
        lambda: split_by_time(frame.dropna(subset=[spec.data.target]), spec.data),
    )
    for attempt in attempts:
        try:
            attempt()
        except BadData as error:
            yield str(error)
