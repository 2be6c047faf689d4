"""A first validation suite from the data of a spec, for a person to edit."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.atomic_files import write_atomically
from deployments.errors import BadData, BadInput
from deployments.settings import Settings
from tasks.data_validation.builtin_checks import by_severity, guard
from tasks.data_validation.findings import Severity
from tasks.data_validation.suite_profiler import propose_suite
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.datasets.split import split_by_time
from tasks.models.features import features_in, select_features, target_values
from tasks.product_spec import ProductSpec
from tasks.spec_file import find_spec, load_product

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Proposal:
    """A suite, and the place where its spec expects one.

    `refusals` and `warnings` are what a release says of these data with this suite, one sentence each.
    """

    suite: dict[str, Any]
    place: Path
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def write(self) -> Path:
        """Write it where the spec expects it. Raises `BadInput` if there is one: nothing of yours is replaced."""
        if self.place.exists():
            raise BadInput(
                f"{self.place} is there already: move it away first, or compare with `seatrial profile` without --write"
            )
        write_atomically(self.place, f"{json.dumps(self.suite, indent=2, ensure_ascii=False)}\n".encode(), mode=0o644)
        return self.place


def propose(product: str, settings: Settings) -> Proposal:
    """What the data of the spec's window look like, as a suite. Raises `BadData` if they cannot be read."""
    spec = load_product(find_spec(product, settings.specs_folder))
    frame = load_snapshot(take_snapshot(spec, settings.snapshots))
    found = [finding for finding in by_severity(guard(frame, spec)) if not finding.passed]
    critical = [finding.message for finding in found if finding.severity is Severity.CRITICAL]
    return Proposal(
        propose_suite(frame, spec),
        Path(spec.validation.suite),
        (*critical, *_unreadable(frame, spec)),
        tuple(finding.message for finding in found if finding.severity is not Severity.CRITICAL),
    )


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
