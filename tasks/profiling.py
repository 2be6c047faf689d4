"""A first validation suite from the data of a spec, for a person to edit."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.disk import write_atomically
from deployments.errors import BadInput
from deployments.settings import Settings
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.spec_file import find_spec, load_product
from tasks.suites.profile import propose_suite


@dataclass(frozen=True, slots=True)
class Proposal:
    """A suite, and the place where its spec expects one."""

    suite: dict[str, Any]
    place: Path

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
    return Proposal(propose_suite(frame, spec), Path(spec.validation.suite))
