"""The difference between what Prefect has and what it should have, and making it none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from deployments.errors import BadInput
from deployments.prefect_api import PrefectApi
from flows.deployment_definitions import OURS, RELEASE, Definition, Definitions, product_tag
from flows.schedule_words import in_words

# What people call the fields that differ.
_CALLED: Final = {
    "parameters": "the form's defaults",
    "parameter_openapi_schema": "the form",
    "schedules": "schedule",
    "work_pool_name": "work pool",
    "work_queue_name": "work queue",
    "job_variables": "job variables",
}


class Kind(StrEnum):
    """What is to be done about a deployment."""

    MAKE = "make"
    CHANGE = "change"
    TAKE_AWAY = "take away"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to be done: what should be, None for nothing, and what Prefect has, None for nothing.

    `fields` are those that differ, by their names in Prefect's API.
    """

    address: str
    wanted: Definition | None
    present: Mapping[str, Any] | None
    fields: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What is to be done."""
        if self.wanted is None:
            return Kind.TAKE_AWAY
        return Kind.MAKE if self.present is None else Kind.CHANGE

    def sentence(self) -> str:
        """For people: what is done to which deployment, and what becomes of its schedule."""
        match self.kind:
            case Kind.MAKE:
                schedules = self.wanted.fields["schedules"] if self.wanted else []
                return f"+ {self.address}" + "".join(f": schedule {in_words(each)}" for each in schedules)
            case Kind.TAKE_AWAY:
                return f"- {self.address}: its spec is gone"
            case Kind.CHANGE:
                return f"~ {self.address}: {', '.join(self._told(field) for field in self.fields)}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"what": self.kind.value, "deployment": self.address, "fields": list(self.fields)}

    def _told(self, field: str) -> str:
        called = _CALLED.get(field, field)
        if field != "schedules" or self.wanted is None or self.present is None:
            return called
        before, after = (
            ", ".join(in_words(each) for each in each_side) or "none"
            for each_side in (self.present["schedules"], self.wanted.fields["schedules"])
        )
        return f"{called}: {before} → {after}"


def changes(found: Definitions, api: PrefectApi) -> tuple[Change, ...]:
    """What is to be done so that Prefect has what it should. While a spec is broken nothing is taken away.

    What has no tag of ours, or is of another work pool, is never taken away. Raises `BadInput` where somebody else's
    deployment has a name that we need.
    """
    present = {f"{each['flow']}/{each['name']}": each for each in api.deployments(OURS)}
    wanted = {each.address: each for each in found.wanted}
    for address in wanted.keys() - present.keys():
        if api.has_deployment(address):
            raise BadInput(
                f"Prefect has a deployment {address} that is not Seatrial's (it has no tag {OURS}): give that one "
                "another name, or the product"
            )
    gone = () if found.broken else sorted(present.keys() - wanted.keys())
    away = (Change(each, None, present[each]) for each in gone if _is_a_products(present[each], found.pool))
    return (*_made_or_changed(wanted, present), *away)


def carry_out(change: Change, api: PrefectApi) -> None:
    """Do it. Doing it again does no harm."""
    wanted, present = change.wanted, change.present
    if wanted is None:
        if present is not None:
            api.delete_deployment(present["id"])
        return
    if present is None:
        api.create_deployment(wanted.flow, wanted.name, wanted.fields)
        return
    fields = {name: wanted.fields[name] for name in change.fields if name != "schedules"}
    if "work_queue_name" in fields:  # a queue is one of its pool
        fields["work_pool_name"] = wanted.fields["work_pool_name"]
    if fields:
        api.update_deployment(present["id"], fields)
    if "schedules" in change.fields:
        api.replace_schedules(present, wanted.fields["schedules"])


def _made_or_changed(wanted: Mapping[str, Definition], present: Mapping[str, Any]) -> Iterator[Change]:
    for address, definition in sorted(wanted.items()):
        there = present.get(address)
        if there is None:
            yield Change(address, definition, None)
        elif fields := tuple(name for name in definition.fields if _differs(name, definition.fields[name], there)):
            yield Change(address, definition, there, fields)


def _is_a_products(there: Mapping[str, Any], pool: str) -> bool:
    """Whether it is a release that was made for a spec; or the one for all products of an earlier Seatrial."""
    if there["flow"] != RELEASE or there["work_pool_name"] != pool:
        return False
    name, tags = there["name"], set(there["tags"])
    return tags >= {OURS, product_tag(name)} or (name == RELEASE and tags == {OURS})


def _differs(name: str, wanted: Any, there: Mapping[str, Any]) -> bool:
    present = there.get(name)
    if name == "schedules":
        return _comparable(wanted) != _comparable(present or [])
    if name == "tags":
        return sorted(wanted) != sorted(present or [])
    return bool((wanted or None) != (present or None))


def _comparable(schedules: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [
        (
            each.get("slug"),
            each["active"],
            sorted((key, _moment(value)) for key, value in each["schedule"].items()),
            each.get("parameters") or {},
        )
        for each in sorted(schedules, key=lambda schedule: str(schedule.get("slug")))
    ]


def _moment(value: Any) -> str:
    """A value of a schedule, such that the same moment or number is the same text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    try:
        return datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        return str(value)
