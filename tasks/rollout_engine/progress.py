"""How far an observation is, in words, and whether that is news."""

import re
from collections.abc import Hashable
from typing import Final

from deployments.analysis.evidence import Block
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe, Until
from tasks.rollout_engine.evidence_sources import compared

# Labels, and numbers with all that makes them one: counts grow with every look, which by itself is no news.
_GROWING: Final = re.compile(r"'[^']*'|\d[\d.,]*(e[+-]?\d+)?|(?<=\w)s\b")
_PARTS_OF_A_SAMPLE: Final = 4


def progress_in_words(state: RolloutState, blocks: tuple[Block, ...]) -> str:
    """How far the observation is, and why it does not end."""
    spent = f"{state.observed.total_seconds():.0f} s healthy" if state.phase is Phase.OBSERVING else ""
    wanted = _sample(state)
    sample = f"{compared(state, blocks):,} of {wanted:,} answers of each version compared" if wanted else ""
    return "; ".join(part for part in (sample, spent, state.reason) if part)


def what_is_new(state: RolloutState, blocks: tuple[Block, ...]) -> Hashable:
    """Equal for two looks of which the second says nothing new: the same words, and no further quarter of a sample."""
    wanted = _sample(state)
    quarter = _PARTS_OF_A_SAMPLE * compared(state, blocks) // wanted if wanted else 0
    return state.done, state.phase, _GROWING.sub("", state.reason), quarter


def _sample(state: RolloutState) -> int:
    step = state.step
    return step.sample or 0 if isinstance(step, Observe) and step.until is Until.SAMPLE else 0
