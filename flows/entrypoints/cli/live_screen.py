"""`seatrial watch`: a rollout as it goes on, drawn anew every second, or one line a change where nobody draws."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployments import wiring
from deployments.analysis.verdict import Finding
from deployments.clock import Clock, SystemClock
from deployments.durations import in_words
from deployments.errors import RolloutFailed, TryAgain
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe
from deployments.rollout.wait_conditions import waiting
from deployments.routers.protocol import Router
from deployments.traffic import split_in_words
from flows.entrypoints import console
from flows.entrypoints.cli.explanation import mark
from flows.reports.rollout import where
from tasks.rollout_engine.command_submission import rollout_under_way
from tasks.rollout_engine.explanation import Explanation, explain
from tasks.rollout_engine.progress import what_is_new
from tasks.rollout_engine.wait_reminders import AT_ONCE, SOON, Reminder

_EVERY: Final = timedelta(seconds=1)
_BAR: Final = 20


def follow(product: str, clock: Clock | None = None) -> int:
    """Show the rollout under way until it ends; 0 when it is done, 4 when it was rolled back.

    Raises `NotFound` when none is under way, KeyboardInterrupt with Ctrl-C, which ends nothing but the watching.
    """
    clock, journal = clock or SystemClock(), wiring.journal()
    router = wiring.read_only_doors(product).router
    rollout_id = rollout_under_way(product, journal).rollout_id

    def snapshots() -> Iterator[tuple[Explanation, str]]:
        while True:
            found = explain(product, rollout_id, journal, clock.now())
            yield found, weights(product, router)
            if not found.state.live:
                return
            clock.sleep(_EVERY)

    last = _draw(snapshots(), clock) if console.out().is_terminal else _tell(snapshots(), clock)
    console.say(f"{product} v{last.candidate}: {where(last)}")
    return 0 if last.phase is Phase.DONE else RolloutFailed.exit_code


def weights(product: str, router: Router) -> str:
    """The split as the gateway reports it now, in words."""
    try:
        live = router.read(product)
    except TryAgain:
        return "the gateway does not answer"
    if live is None:
        return "no route"
    return split_in_words(live.weights, live.matches, live.mirror)


def picture(found: Explanation, split: str, clock: Clock) -> RenderableType:
    """The whole rollout on about twelve lines."""
    state = found.state
    facts = Table.grid(padding=(0, 2))
    for name, fact in (
        ("phase", where(state)),
        ("traffic", split),
        ("watched", progress(state)),
        ("looked", f"{in_words(clock.now() - found.looked_at)} ago" if found.looked_at else "not yet"),
        ("carried by", f"process {found.carrier.pid}" if found.carrier else "nobody now; picked up within a minute"),
    ):
        if fact:
            facts.add_row(Text(name, style="dim"), Text(fact))
    title = Text(f"{state.product} v{state.candidate} by {state.strategy}", style="bold")
    needed = [Text(f"still needed: {sentence}", style="dim") for sentence in found.needed]
    if wait := waiting(state):
        needed.append(Text(wait.sentence(clock.now()), style="dim"))
    return Group(title, facts, *(_metric(finding) for finding in found.verdict.findings if found.blocks), *needed)


def progress(state: RolloutState) -> str:
    """Healthy time so far of the time that the step needs at least; empty where nothing is observed."""
    if not isinstance(state.step, Observe):
        return ""
    of = f" of {in_words(state.step.time)}" if state.step.time else ""
    return f"{in_words(state.observed)}{of} healthy time"


def bar(value: float, needed: float) -> str:
    """How far an e-value is on its way, on the logarithmic scale on which evidence adds up; empty at 1 or less."""
    from math import isfinite, log

    part = log(max(value, 1.0)) / log(needed) if isfinite(value) else 1.0
    full = round(_BAR * min(1.0, part))
    return "█" * full + "░" * (_BAR - full)


def _metric(finding: Finding) -> Text:
    line = Text(f"{mark(finding)} {finding.metric:<12} harm {bar(finding.harm, finding.harm_needed)}", no_wrap=True)
    if finding.safe is not None:
        line.append(f" safe {bar(finding.safe, finding.safe_needed)}")
    return line.append(f"  {finding.sentence}", style="dim")


def _draw(snapshots: Iterator[tuple[Explanation, str]], clock: Clock) -> RolloutState:
    with Live(console=console.out(), auto_refresh=False, transient=True) as live:
        for found, split in snapshots:
            live.update(picture(found, split, clock), refresh=True)
    return found.state


def _tell(snapshots: Iterator[tuple[Explanation, str]], clock: Clock) -> RolloutState:
    told, news, reminder = "", Reminder(), Reminder()
    for found, split in snapshots:
        state = found.state
        line = f"{where(state)}; {split}"
        new = news.due((what_is_new(state, found.blocks), split), clock.monotonic())
        if new and line != told and state.live:
            told = line
            console.say(line)
        wait = waiting(state)
        if wait and reminder.due((state.phase, state.done), clock.monotonic(), AT_ONCE if state.watched else SOON):
            console.say(wait.sentence(clock.now()))
    return found.state
