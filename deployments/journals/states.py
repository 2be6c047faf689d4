"""The state of a rollout as the journals keep it: one JSON document."""

import json
from dataclasses import fields
from datetime import datetime, timedelta

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
    """The state that `write_state` wrote."""
    values = json.loads(document)
    values["steps"] = tuple(from_json(step) for step in values["steps"])
    values["phase"] = Phase(values["phase"])
    values["section"] = RolloutSection.model_validate_json(json.dumps(values["section"]))
    values["observed"] = timedelta(seconds=values["observed"])
    for name in ("started_at", "updated_at", "entered_at"):
        values[name] = datetime.fromisoformat(values[name])
    if since := values.get("phase_since"):
        values["phase_since"] = datetime.fromisoformat(since)
    return RolloutState(**values)
