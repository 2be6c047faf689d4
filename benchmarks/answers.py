"""What the load on a gateway knows of each of its requests."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of each request, in the order in which they were due; all arrays have shape (requests,).

    `due`, `sent` and `done` are seconds of the machine's monotonic clock. `code` is the HTTP code, 0 for a connection
    that was refused or broke, or an answer that never came, or not in time; `version` who answered, 0 for nobody.
    `user` is the number of the user whose key it carried, -1 for none.
    """

    due: npt.NDArray[np.float64]
    sent: npt.NDArray[np.float64]
    done: npt.NDArray[np.float64]
    code: npt.NDArray[np.int64]
    version: npt.NDArray[np.int64]
    user: npt.NDArray[np.int64]

    @classmethod
    def read(cls, path: Path) -> "Answers":
        """What the load wrote."""
        with np.load(path) as arrays:
            return cls(**arrays)

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Answers":
        """Those that are chosen."""
        due, sent, done = (each[chosen] for each in (self.due, self.sent, self.done))
        return Answers(due, sent, done, self.code[chosen], self.version[chosen], self.user[chosen])

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return int((self.code != 200).sum())

    def __len__(self) -> int:
        return len(self.due)
