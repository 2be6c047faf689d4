"""Why Envoy refused a file: it says so in its log and nowhere else."""

from dataclasses import dataclass
from pathlib import Path

_MARKS = ("update rejected", "update failed", "Unable to")


@dataclass(frozen=True, slots=True)
class Complaints:
    """The log file of the gateway; None: it is not known."""

    log_file: Path | None

    def position(self) -> int:
        """Where the log ends now."""
        return self.log_file.stat().st_size if self.log_file is not None and self.log_file.is_file() else 0

    def since(self, position: int) -> str:
        """Envoy's last reason after `position`, or where to look for it."""
        if self.log_file is None or not self.log_file.is_file():
            return "the reason stands in its standard error"
        # A log that is shorter than before was rotated.
        start = position if self.log_file.stat().st_size >= position else 0
        written = self.log_file.read_bytes()[start:].decode(errors="replace").splitlines()
        reasons = [line for line in written if any(mark in line for mark in _MARKS)]
        return reasons[-1].strip() if reasons else f"the reason stands in {self.log_file}"
