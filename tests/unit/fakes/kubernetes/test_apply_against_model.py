"""Server-side apply held against the few sentences that document it, for any sequence of writes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as some

from tests.fakes.kubernetes.fields import as_fields_v1, from_fields_v1
from tests.fakes.kubernetes.kinds import BY_NAME, Json
from tests.fakes.kubernetes.lifecycle import Lifecycle
from tests.fakes.kubernetes.ownership import Manager, Ownership
from tests.fakes.kubernetes.patches import MERGE_PATCH, patched
from tests.fakes.kubernetes.refusals import Refused
from tests.fakes.kubernetes.store import Store

CONFIG_MAP, KEY = BY_NAME["ConfigMap"], ("default", "settings")
KEYS, VALUES, APPLIERS = "abc", "12", ("seatrial", "other")

configs = some.dictionaries(some.sampled_from(KEYS), some.sampled_from(VALUES))
applies = some.tuples(some.sampled_from(APPLIERS), configs, some.booleans())
updates = some.tuples(
    some.just("hand"), some.dictionaries(some.sampled_from(KEYS), some.sampled_from((*VALUES, None))), some.just(False)
)
segments = some.sampled_from(("f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'))


@dataclass
class Model:
    """Values and who owns them, as the documentation says it should be."""

    values: dict[str, str] = field(default_factory=dict)
    owners: dict[str, set[str]] = field(default_factory=dict)

    def apply(self, who: str, config: dict[str, str], force: bool) -> set[tuple[str, str]]:
        """The conflicts, (manager, field); nothing is changed if there are any."""
        changed = {key for key, value in config.items() if self.values.get(key) != value}
        conflicts = {(owner, key) for key in changed for owner in self.owners.get(key, set()) - {who}}
        if conflicts and not force:
            return conflicts
        for key, value in config.items():
            self.owners[key] = {who} if key in changed else self.owners[key] | {who}
            self.values[key] = value
        for key in list(self.values.keys() - config.keys()):
            if who in self.owners[key]:
                self.owners[key].discard(who)
                if not self.owners[key]:
                    self.forget(key)
        return set()

    def update(self, who: str, patch: dict[str, str | None]) -> None:
        for key, value in patch.items():
            if value is None:
                self.forget(key)
            elif self.values.get(key) != value:
                self.values[key], self.owners[key] = value, {who}

    def forget(self, key: str) -> None:
        self.values.pop(key, None)
        self.owners.pop(key, None)


def cluster() -> Lifecycle:
    lifecycle = Lifecycle(Store(), lambda: datetime(2026, 1, 2, tzinfo=UTC), lambda kind, thing: None)
    lifecycle.store.lock.acquire()
    lifecycle.put(BY_NAME["Namespace"], {"metadata": {"name": "default"}})
    lifecycle.apply(CONFIG_MAP, KEY, {"metadata": {"name": "settings"}}, Manager("first", "Apply"))
    return lifecycle


def owners_of(thing: Json) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for manager, owned in Ownership.of(thing).owners.items():
        for path in owned.paths:
            found.setdefault(path[-1][2:], set()).add(manager.name)
    return found


def conflicts_of(refusal: Refused) -> set[tuple[str, str]]:
    causes = refusal.status["details"]["causes"]
    return {(cause["message"].split('"')[1], cause["field"].removeprefix(".data.")) for cause in causes}


@settings(deadline=None, max_examples=200)
@given(some.lists(some.one_of(applies, updates), max_size=8))
def test_values_owners_and_conflicts_are_what_the_documentation_says(
    writes: list[tuple[str, dict[str, str], bool]],
) -> None:
    lifecycle, model = cluster(), Model()
    for who, data, force in writes:
        refused: set[tuple[str, str]] = set()
        if who == "hand":
            model.update(who, dict(data))
            patch = {"data": data}
            lifecycle.change(
                CONFIG_MAP, KEY, lambda live, patch=patch: patched(CONFIG_MAP, live, patch, MERGE_PATCH), Manager(who)
            )
        else:
            expected = model.apply(who, data, force)
            try:
                lifecycle.apply(CONFIG_MAP, KEY, {"data": data}, Manager(who, "Apply"), force=force)
            except Refused as refusal:
                refused = conflicts_of(refusal)
            assert refused == expected
        live = lifecycle.live(CONFIG_MAP, *KEY)
        assert (live.get("data") or {}) == model.values
        assert {key: owner for key, owner in owners_of(live).items() if key in KEYS} == model.owners


@settings(deadline=None)
@given(some.sets(some.lists(segments, min_size=1, max_size=4).map(tuple)))
def test_owned_fields_survive_being_written_down(paths: set[tuple[str, ...]]) -> None:
    assert from_fields_v1(as_fields_v1(paths)) == paths
