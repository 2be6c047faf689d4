"""What a folder says beside its specs: Prefect's automations in `automations/`, and the limit of trainings at once.

Only automations that carry both of our tags are changed or taken away; beside one of somebody else's that has the same
name, ours is made.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import yaml

from deployments.errors import BadInput
from deployments.plurals import counted
from deployments.prefect_api import PrefectApi
from deployments.printable import said_by
from deployments.settings import Settings
from flows.deployment_definitions import OURS
from flows.deployment_plan import Kind
from tasks.training_turn import LIMIT

FOLDER: Final = "automations"
POLICY: Final = "policy"
_ENDINGS: Final = frozenset({".yaml", ".yml"})
_UNKNOWN: Final = UUID(int=0)
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AutomationChange:
    """One automation to be made, changed or taken away: as it should be, None for not at all, and as Prefect has it.

    `fields` are those that differ.
    """

    name: str
    wanted: Document | None
    present: Document | None
    fields: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What is to be done."""
        if self.wanted is None:
            return Kind.TAKE_AWAY
        return Kind.MAKE if self.present is None else Kind.CHANGE

    def sentence(self) -> str:
        """For people."""
        match self.kind:
            case Kind.MAKE:
                return f"+ automation {self.name}"
            case Kind.TAKE_AWAY:
                return f"- automation {self.name}: its file is gone"
            case Kind.CHANGE:
                return f"~ automation {self.name}: {', '.join(self.fields)}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"what": self.kind.value, "automation": self.name, "fields": list(self.fields)}

    def carry_out(self, api: PrefectApi) -> None:
        """Do it. Doing it again does no harm. Raises `BadInput` for what Prefect does not take."""
        if self.wanted is None:
            if self.present is not None:
                api.delete_automation(self.present["id"])
        else:
            made = _as_prefect_has_it(_resolved(self.wanted, api, strict=True), self.name)
            api.put_automation(made, None if self.present is None else self.present["id"])


@dataclass(frozen=True, slots=True)
class LimitChange:
    """How many trainings run at once; `present` is None where Prefect has no such limit."""

    wanted: int
    present: int | None

    def sentence(self) -> str:
        """For people."""
        now = f"{counted(self.wanted, 'training')} at once"
        return f"+ limit {LIMIT}: {now}" if self.present is None else f"~ limit {LIMIT}: {self.present} → {now}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        kind = Kind.MAKE if self.present is None else Kind.CHANGE
        return {"what": kind.value, "limit": LIMIT, "fields": ["limit"]}

    def carry_out(self, api: PrefectApi) -> None:
        """Do it."""
        api.set_limit(LIMIT, self.wanted)


def policy_changes(
    specs: Path, settings: Settings, api: PrefectApi, *, prune: bool = True
) -> tuple[AutomationChange | LimitChange, ...]:
    """What is to be done so that Prefect has the policies of the folder beside `specs`; gone ones only with `prune`.

    Raises `BadInput` for a file that is no automation, naming it.
    """
    present = {each["name"]: each for each in api.automations() if {OURS, POLICY} <= set(each.get("tags") or ())}
    wanted = wanted_automations(specs.parent / FOLDER)
    limit = api.limit(LIMIT)
    limited = () if limit == settings.trainings_at_once else (LimitChange(settings.trainings_at_once, limit),)
    gone = sorted(present.keys() - wanted.keys()) if prune else []
    return (
        *limited,
        *_made_or_changed(wanted, present, api),
        *(AutomationChange(name, None, present[name]) for name in gone),
    )


def wanted_automations(folder: Path) -> dict[str, Document]:
    """By name, from each YAML file of the folder: one automation, a list, or a list below `automations`.

    As `prefect automation create --from-file` takes them; an action may name its `deployment` as FLOW/NAME. Empty where
    there is no such folder. Raises `BadInput`.
    """
    found: dict[str, Document] = {}
    files = sorted(each for each in folder.glob("*") if each.suffix in _ENDINGS) if folder.is_dir() else []
    for file in files:
        for each in _read(file):
            name = str(each["name"])
            if name in found:
                raise BadInput(f"{file}: an automation {name!r} stands there twice: give one another name")
            found[name] = {**each, "tags": sorted({OURS, POLICY, *map(str, each.get("tags") or ())})}
    return found


def _read(file: Path) -> list[Document]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{file} cannot be read ({said_by(error)}): write it as YAML") from None
    if isinstance(document, dict) and "automations" in document:
        document = document["automations"]
    listed = document if isinstance(document, list) else [document]
    for each in listed:
        if not isinstance(each, dict) or not each.get("name"):
            raise BadInput(f"{file} is no automation: write name, trigger and actions")
    return listed


def _made_or_changed(
    wanted: Mapping[str, Document], present: Mapping[str, Document], api: PrefectApi
) -> Iterator[AutomationChange]:
    for name, given in sorted(wanted.items()):
        there = present.get(name)
        made = _as_prefect_has_it(_resolved(given, api, strict=False), name)
        if there is None:
            yield AutomationChange(name, given, None)
            continue
        kept = _as_prefect_has_it(there, name)
        fields = [field for field in made if made[field] != kept.get(field)]
        if "enabled" in fields and "enabled" not in given:  # a person may switch it off on Prefect's page
            fields.remove("enabled")
        if fields:
            unsaid = {} if "enabled" in given else {"enabled": there["enabled"]}
            yield AutomationChange(name, {**given, **unsaid}, there, tuple(fields))


def _as_prefect_has_it(given: Document, name: str) -> dict[str, Any]:
    """With every default written out, as the API takes it. Raises `BadInput`."""
    from prefect.events.schemas.automations import AutomationCore
    from pydantic import ValidationError

    try:
        core = AutomationCore.model_validate(dict(given))
    except ValidationError as error:
        places = dict.fromkeys(".".join(map(str, each["loc"])) for each in error.errors())
        raise BadInput(f"automation {name!r} is none that Prefect takes, for {', '.join(list(places)[:3])}") from None
    document = core.model_dump(mode="json", exclude={"owner_resource"})
    document["tags"] = sorted(document["tags"])
    return document


def _resolved(given: Document, api: PrefectApi, *, strict: bool) -> Document:
    """With ids of the deployments that actions name; those that are not there yet get none unless `strict`."""
    lists = {name: value for name, value in given.items() if name.startswith("actions") and isinstance(value, list)}
    return {**given, **{name: [_with_id(each, api, strict) for each in value] for name, value in lists.items()}}


def _with_id(action: Any, api: PrefectApi, strict: bool) -> Any:
    if not isinstance(action, dict) or "deployment" not in action:
        return action
    address = str(action["deployment"])
    found = api.deployment_id(address)
    if found is None and strict:
        raise BadInput(f"an automation runs {address}, and Prefect has no such deployment: name one that it has")
    rest = {name: value for name, value in action.items() if name != "deployment"}
    return {"source": "selected", **rest, "deployment_id": found or str(_UNKNOWN)}
