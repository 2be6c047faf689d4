"""What the operations answer, as JSON Schema 2020-12: parts of the description, held against real answers by tests.

Members may be added in later versions; those that are named here stay.
"""

from collections.abc import Mapping
from typing import Any, Final

from deployments.access_control.roles import Role
from deployments.analysis.verdict import Ruling
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from flows.reports.products import HEALTH

Schema = dict[str, Any]


def _object(**members: Schema) -> Schema:
    return {"type": "object", "required": sorted(members), "properties": members}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": sorted(values)}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Final[Schema] = {"type": "string"}
_YES: Final[Schema] = {"type": "boolean"}
_NUMBER: Final[Schema] = {"type": "number"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_FROM_ONE: Final[Schema] = {"type": "integer", "minimum": 1}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_PERCENT: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 100}
_ANY: Final[Schema] = {"type": "object"}
_COUNTS: Final = _object(requests=_COUNT, errors=_COUNT, p50_ms=_maybe(_NUMBER), p95_ms=_maybe(_NUMBER))
_VERB: Final = _one_of(*(verb.value for verb in Verb))

_STATE: Final = {
    "product": _TEXT,
    "rollout": _TEXT,
    "candidate": _FROM_ONE,
    "champion": _maybe(_FROM_ONE),
    "strategy": _TEXT,
    "phase": _one_of(*(phase.value for phase in Phase)),
    "step": _maybe(_FROM_ONE),
    "of": _COUNT,
    "doing": _maybe(_TEXT),
    "reason": _TEXT,
    "waiting": _maybe(_ANY),
    "observed_seconds": _NUMBER,
    "started_at": _TIME,
    "updated_at": _TIME,
}
_STEP: Final = _object(number=_FROM_ONE, step=_TEXT, state=_one_of("done", "now", "ahead"), share=_maybe(_PERCENT))
_STEP_AHEAD: Final = _object(
    number=_FROM_ONE, step=_TEXT, seconds=_maybe(_NUMBER), requests=_maybe(_COUNT), reason=_TEXT, warning=_TEXT
)
_STRETCH: Final = _object(start=_TIME, end=_TIME, share=_maybe(_PERCENT), champion=_COUNTS, candidate=_COUNTS)
_FINDING: Final = _object(
    metric=_TEXT,
    stable=_maybe(_NUMBER),
    candidate=_maybe(_NUMBER),
    low=_maybe(_NUMBER),
    high=_maybe(_NUMBER),
    harm=_maybe(_NUMBER),
    harm_needed=_NUMBER,
    safe=_maybe(_NUMBER),
    safe_needed=_NUMBER,
    still_needed=_maybe(_COUNT),
    dry_run=_YES,
    is_harm=_YES,
    sentence=_TEXT,
)
_ORDER: Final = _object(
    number=_COUNT,
    at=_TIME,
    verb=_VERB,
    who=_TEXT,
    reason=_TEXT,
    became=_one_of("waits", "done", "declined"),
    why=_TEXT,
)
_MOMENT: Final = _object(utc=_TIME, local=_TIME)
_SCHEDULE: Final = _object(
    schedule=_maybe(_TEXT), timezone=_maybe(_TEXT), on=_maybe(_YES), paused=_YES, next=_list(_MOMENT), late=_COUNT
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Problem": {
        "type": "object",
        "required": ["detail", "status", "title", "type"],
        "properties": {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
    },
    "Caller": _object(who=_TEXT, roles=_map(_one_of(*(role.value for role in Role)))),
    "Status": _object(platform=_map(_maybe(_TEXT)), products=_COUNT, rollouts=_list(ref("Rollout"))),
    "Product": _object(
        product=_TEXT,
        description=_TEXT,
        has_spec=_YES,
        champion=_maybe(_FROM_ONE),
        challenger=_maybe(_FROM_ONE),
        shares=_maybe(_map(_PERCENT)),
        health=_one_of(*HEALTH),
        rollout=_maybe(ref("Rollout")),
    ),
    "Rollout": _object(**_STATE),
    "RolloutDetail": _object(
        **_STATE,
        plan=_list(_STEP),
        weights=_list(_object(at=_TIME, share=_PERCENT)),
        progress=_object(
            stretches=_list(_STRETCH), total=_object(champion=_COUNTS, candidate=_COUNTS), looked_at=_maybe(_TIME)
        ),
        orders=_list(_ORDER),
        links=_map(_maybe(_TEXT)),
        sentence=_TEXT,
        carried_by=_maybe(_TEXT),
    ),
    "Evidence": _object(
        **_STATE,
        looked_at=_maybe(_TIME),
        blocks=_COUNT,
        ruling=_one_of(*(ruling.value for ruling in Ruling)),
        why=_TEXT,
        findings=_list(_FINDING),
        needed=_list(_TEXT),
        series=_map(_list(_object(at=_TIME, harm=_maybe(_NUMBER), safe=_maybe(_NUMBER)))),
    ),
    "Forecast": _object(
        requests_per_second=_maybe(_NUMBER),
        error_rate=_maybe(_NUMBER),
        steps=_list(_STEP_AHEAD),
        seconds=_NUMBER,
        not_counted=_list(_TEXT),
        ends_at=_maybe(_TIME),
    ),
    "Plan": _object(
        product=_TEXT,
        strategy=_TEXT,
        candidate=_FROM_ONE,
        champion=_maybe(_FROM_ONE),
        traffic=_ANY,
        steps=_list(_STEP_AHEAD),
        seconds=_NUMBER,
        not_counted=_list(_TEXT),
        warnings=_list(_TEXT),
    ),
    "Replay": _object(product=_TEXT, rollout=_TEXT, candidate=_FROM_ONE, identical=_YES, verdicts=_list(_ANY)),
    "Event": _object(at=_TIME, product=_TEXT, event=_TEXT, run=_TEXT),
    "Schedules": _map(_SCHEDULE),
    "Webhook": _object(source=_TEXT, product=_TEXT, on=_list(_TEXT), path=_TEXT, keys_until=_list(_maybe(_TIME))),
    "Delivery": _object(
        delivery=_TEXT,
        product=_TEXT,
        who=_TEXT,
        action=_TEXT,
        version=_maybe(_FROM_ONE),
        reason=_TEXT,
        received=_TIME,
        state=_TEXT,
        why=_TEXT,
        run=_maybe(_TEXT),
    ),
    "Run": _object(product=_TEXT, run=_TEXT, name=_TEXT, deployment=_TEXT, page=_maybe(_TEXT)),
    "Given": _object(product=_TEXT, rollout=_TEXT, candidate=_FROM_ONE, order=_COUNT, verb=_VERB),
}
