"""What was asked of a rollout, seen, decided and ordered, and what it still needs; and whether its verdicts hold."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from deployments.analysis.evidence import Block
from deployments.analysis.judge import judge
from deployments.analysis.verdict import Ruling, Verdict
from deployments.durations import in_words
from deployments.errors import NotFound
from deployments.journals.protocol import Event, Journal
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Order
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve, Observe, Until
from tasks.rollout_engine.evidence_sources import carried, compared, gathered

_ONE: Final = re.compile(r"(?<![\d,.])(1 (?:more )?)(request|pair|value)s\b")
_DIFFERS: Final = re.compile(r"(?<![\d,.])1 pair differ\b")
_SINCE: Final = re.compile(r"( since \d\d:\d\d:\d\d)(?! UTC)")
_MOVES = ("shift", "promote", "reinstate", "report")


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rollout as the journal knows it.

    `verdict` is reached anew over all `blocks`, those of the rollout that it carries on among them.
    `orders` and `timeline` are in the order in which they came. `carrier` works on it, None: nobody.
    """

    state: RolloutState
    blocks: tuple[Block, ...]
    verdict: Verdict
    orders: tuple[Order, ...]
    timeline: tuple[Event, ...]
    carrier: Owner | None

    @property
    def looked_at(self) -> datetime | None:
        """When the traffic was last counted; None: not yet."""
        return self.blocks[-1].end if self.blocks else None

    @property
    def needed(self) -> tuple[str, ...]:
        """What must still happen before the rollout goes on, one sentence each; empty when nothing is waited for."""
        return tuple(_needed(self.state, self.blocks, self.verdict)) if self.state.live else ()


def explain(product: str, rollout_id: str | None, journal: Journal, now: datetime) -> Explanation:
    """The rollout with this id or beginning of an id; None: the one under way, else the last one.

    Raises `NotFound` when there is none.
    """
    state = find(product, rollout_id, journal)
    blocks = gathered(state, journal)
    return Explanation(
        state,
        blocks,
        judge(blocks, state.section.analysis),
        journal.orders(state.rollout_id),
        tuple(event for event in _events(state, journal) if _matters(event)),
        journal.holder(product, now) if state.live else None,
    )


def find(product: str, rollout_id: str | None, journal: Journal) -> RolloutState:
    """See `explain`."""
    known = journal.rollouts(product)
    if not known:
        raise NotFound(f"nothing of {product!r} was rolled out here: `seatrial status` shows what was")
    if rollout_id is None:
        return next((state for state in known if state.live), known[0])
    fitting = [state for state in known if state.rollout_id.startswith(rollout_id)]
    if len(fitting) != 1:
        listed = ", ".join(f"{state.rollout_id} (v{state.candidate})" for state in (fitting or known)[:5])
        raise NotFound(
            f"{product} has {len(fitting) or 'no'} rollout{'s' * (len(fitting) > 1)} {rollout_id!r}: {listed}"
        )
    return fitting[0]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded verdict beside the one that its counts give now; `blocks` is how many of them it had seen.

    `from_outside` is a hold for a reason that is no matter of counts (nothing could be read, no traffic): of it only
    the findings can be reached anew.
    """

    at: datetime
    blocks: int
    recorded: Ruling
    why: str
    now: Verdict
    from_outside: bool
    identical: bool


def replay(state: RolloutState, journal: Journal) -> tuple[Replayed, ...]:
    """Every verdict of the rollout, reached anew from the recorded counts and the spec as it was then."""
    blocks = gathered(state, journal)
    before = len(carried(state, journal))
    judged = (event for event in _events(state, journal) if event.kind == "rollout.judged")
    return tuple(_replayed(event, blocks, before, state) for event in judged)


def _events(state: RolloutState, journal: Journal) -> Iterator[Event]:
    """What happened in the rollout; not what a run did under the same id before it began again."""
    for event in journal.events(state.product):
        if event.run == state.rollout_id and event.at >= state.started_at:
            yield event


def _replayed(event: Event, blocks: Sequence[Block], before: int, state: RolloutState) -> Replayed:
    seen, recorded = int(event.detail["blocks"]), Ruling(event.detail["ruling"])
    now = judge(blocks[: before + seen], state.section.analysis)
    from_outside = recorded is Ruling.HOLD and now.ruling in {Ruling.CONTINUE, Ruling.PROMOTE}
    same = from_outside or (now.ruling, _plain(now.reason)) == (recorded, _plain(event.detail["why"]))
    same = same and _plain(event.detail["findings"]) == _plain([asdict(finding) for finding in now.findings])
    return Replayed(event.at, seen, recorded, event.detail["why"], now, from_outside, same)


def _plain(document: Any) -> Any:
    """As it is after a way through JSON, in the words of today: of one there were plurals, and times without a zone."""
    text = _ONE.sub(r"\1\2", json.dumps(document))
    return json.loads(_DIFFERS.sub("1 pair differs", _SINCE.sub(r"\1 UTC", text)))


def _matters(event: Event) -> bool:
    if event.kind == "step.done":
        return str(event.detail.get("step", "")).startswith(_MOVES)
    return event.kind.startswith(("rollout.", "order."))


def _needed(state: RolloutState, blocks: Sequence[Block], verdict: Verdict) -> Sequence[str]:
    step, product = state.step, state.product
    match state.phase:
        case Phase.PAUSED:
            return [f"`seatrial resume {product}`"]
        case Phase.HOLDING:
            return [f"counts that can be trusted ({state.reason})"]
        case Phase.RESTORING:
            return ["the champion's traffic back"]
    if isinstance(step, Approve):
        return [f"a person's answer to: {step.question} `seatrial approve {product}`"]
    return _observation(step, state, blocks, verdict) if isinstance(step, Observe) else [str(step or "finish")]


def _observation(step: Observe, state: RolloutState, blocks: Sequence[Block], verdict: Verdict) -> Sequence[str]:
    left = step.time - state.observed
    found = [f"{in_words(left)} more of healthy time"] if left.total_seconds() > 0 else []
    if verdict.nearly:
        found.append(verdict.reason)
    if step.until is Until.SAMPLE:
        found.append(f"{compared(state, blocks):,} of {step.sample or 0:,} compared so far")
    elif step.until is not Until.TIME:
        proofs = [each for each in verdict.findings if not each.is_safe and not each.dry_run]
        found += [each.sentence for each in proofs] or [str(step)]
    return found
