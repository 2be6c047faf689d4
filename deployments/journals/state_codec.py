"""The state of a rollout as the journals keep it: one JSON document."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from deployments.errors import BadInput
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import from_json, to_json
from deployments.spec import RolloutSection


def write_state(state: RolloutState) -> str:
    """The state as JSON."""
    plain = {field.name: getattr(state, field.name) for field in fields(state)}
    written = {
        "steps": [to_json(step) for step in state.steps],
        "section": state.section.model_dump(mode="json"),
        "observed": state.observed.total_seconds(),
    }
    return json.dumps(plain | written, default=datetime.isoformat)


def read_state(document: str) -> RolloutState:
    """The state that `write_state` wrote. Raises `BadInput` for one that was edited, or written by another version."""
    try:
        return _known(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"the journal has a rollout that cannot be read ({type(error).__name__}: {str(error)[:200]}): edited, "
            "or written by another version of Seatrial; its product serves as before, use that version for it"
        ) from error


def readable(documents: Iterable[str]) -> Iterator[RolloutState]:
    """The states that can be read: one product's damaged row is no other one's."""
    for document in documents:
        with contextlib.suppress(BadInput):
            yield read_state(document)


@lru_cache(maxsize=128)
def _known(document: str) -> RolloutState:
    """Nothing in a state ever changes: whoever looks again and again reads what has not changed once."""
    return _read(json.loads(document))


@lru_cache(maxsize=128)
def _section(document: str) -> RolloutSection:
    """Of all states of a rollout it is the same, and the largest part of each."""
    return RolloutSection.model_validate_json(document)


def _read(values: dict[str, Any]) -> RolloutState:
    values["steps"] = tuple(from_json(step) for step in values["steps"])
    values["phase"] = Phase(values["phase"])
    values["section"] = _section(json.dumps(values["section"]))
    values["observed"] = timedelta(seconds=values["observed"])
    for name in ("started_at", "updated_at", "entered_at"):
        values[name] = datetime.fromisoformat(values[name])
    if since := values.get("phase_since"):
        values["phase_since"] = datetime.fromisoformat(since)
    return RolloutState(**values)
