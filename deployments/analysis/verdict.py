"""What a judgement says, with the numbers it rests on."""

from dataclasses import dataclass
from enum import StrEnum


class Ruling(StrEnum):
    """The four things that evidence can say."""

    ROLL_BACK = "roll back"  # harm is proved
    PROMOTE = "promote"  # every metric that must be is proved not worse than its margin
    CONTINUE = "continue"  # undecided; data flows
    HOLD = "hold"  # no data that can be trusted: weights stand still, the clock is stopped


@dataclass(frozen=True, slots=True)
class Finding:
    """One metric's evidence. Rates are shares or means; None where nothing was counted yet.

    `low` and `high` bound candidate minus stable, each but for a chance of beta, at every moment at once; None where
    the metric has no such bound (only error_rate and feedback do). `harm` is the e-value against "no worse" and rolls
    back at `harm_needed` (1 / its share of alpha); `safe` the e-value against "worse than the margin", which allows
    promotion at `safe_needed` (1 / beta) and is None for a metric that need not be proved. `still_needed` estimates how
    many more requests (feedback values, pairs) of both versions the open question takes at the present rates and
    split; None when it is settled or cannot be told. `sentence` says it for people.
    """

    metric: str
    stable: float | None
    candidate: float | None
    low: float | None
    high: float | None
    harm: float
    harm_needed: float
    safe: float | None
    safe_needed: float
    still_needed: int | None
    dry_run: bool
    sentence: str

    @property
    def is_harm(self) -> bool:
        """Harm is proved."""
        return self.harm >= self.harm_needed

    @property
    def is_safe(self) -> bool:
        """Proved not worse than the margin, or needing no proof."""
        return self.safe is None or self.safe >= self.safe_needed


class Nearly(StrEnum):
    """What stands so near its proof of harm that a promotion waits."""

    COMPARISON = "comparison"  # with the stable version: more traffic to both settles it
    LIMIT = "limit"  # the candidate alone


@dataclass(frozen=True, slots=True)
class Verdict:
    """A ruling, why, and what each metric says; findings stand in the order of the spec.

    `nearly` is what speaks against a promotion without proving harm; None: nothing. The ruling is then no promotion.
    `few`: nothing but proofs is missing, and fewer users came than any proof takes.
    """

    ruling: Ruling
    reason: str
    findings: tuple[Finding, ...] = ()
    nearly: Nearly | None = None
    few: bool = False
