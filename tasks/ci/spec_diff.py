"""What a changed spec would do otherwise than the one before it: field by field, and step by step."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from deployments.clock import Clock
from deployments.redaction import masked
from deployments.strategies.plan import Change, Goal, plan
from tasks.data_validation.expectations import describe
from tasks.data_validation.suite_file import Suite
from tasks.data_validation.used_columns import columns_of
from tasks.product_spec import ProductSpec

# What moves traffic comes first.
_ORDER: Final = ("rollout", "gate", "schedule", "data", "validation", "preprocessing", "model")
_CANDIDATE, _CHAMPION = 2, 1
_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of the spec or a check of the suite, by its name, before and now, as text; `none` for nothing."""

    what: str
    before: str
    now: str


def differences(former: ProductSpec, spec: ProductSpec) -> tuple[Difference, ...]:
    """Every field that differs, what moves traffic first. Passwords in URLs are masked."""
    before, now = dict(_fields(former)), dict(_fields(spec))
    names = [name for name in {**before, **now} if before.get(name, _NONE) != now.get(name, _NONE)]
    ranked = sorted(names, key=lambda name: (_rank(name), name))
    return tuple(Difference(name, before.get(name, _NONE), now.get(name, _NONE)) for name in ranked)


def suite_differences(former: Suite | None, suite: Suite | None) -> tuple[Difference, ...]:
    """Checks of the validation suite that are new or gone."""
    before, now = _checks(former), _checks(suite)
    told = [Difference(name, before.get(name, _NONE), now.get(name, _NONE)) for name in {**before, **now}]
    return tuple(each for each in told if each.before != each.now)


def steps_of(spec: ProductSpec) -> tuple[str, ...]:
    """The steps by which a version of this spec would replace the champion."""
    section = spec.rollout
    steps = plan(section.strategy, Change(Goal.PROMOTE, _CANDIDATE, _CHAMPION, (_CHAMPION,)), section)
    return tuple(_by_role(str(step)) for step in steps)


def steps_diff(former: ProductSpec, spec: ProductSpec) -> tuple[str, ...]:
    """The plan's difference, line by line as `diff -u` writes it; empty where the steps are the same."""
    before, now = steps_of(former), steps_of(spec)
    if before == now:
        return ()
    return tuple(line for line in difflib.ndiff(before, now) if not line.startswith("?"))


def next_runs(spec: ProductSpec, clock: Clock, count: int = 3) -> tuple[str, ...]:
    """When the schedule releases the product next; empty without one, or while it is off."""
    if spec.schedule is None or not spec.schedule.active:
        return ()
    coming = islice(spec.schedule.following(clock.now()), count)
    return tuple(f"{each:%a %Y-%m-%d %H:%M%z} {spec.schedule.timezone}" for each in coming)


def _by_role(step: str) -> str:
    return re.sub(rf"\bv{_CHAMPION}\b", "champion", re.sub(rf"\bv{_CANDIDATE}\b", "candidate", step))


def _rank(name: str) -> int:
    section = name.partition(".")[0]
    return _ORDER.index(section) if section in _ORDER else len(_ORDER)


def _fields(spec: ProductSpec) -> Iterator[tuple[str, str]]:
    yield from _flattened("", spec.model_dump(mode="json", exclude_none=True))


def _flattened(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flattened(f"{name}.{key}" if name else str(key), inner)
        return
    listed = value if isinstance(value, list) else [value]
    text = ", ".join(map(_in_words, listed)) or _NONE
    yield name, masked(text) if "://" in text else text


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_in_words(inner)}" for key, inner in value.items() if inner is not None)
    return value if isinstance(value, str) else json.dumps(value)


def _checks(suite: Suite | None) -> dict[str, str]:
    """By what is checked: how severe that is."""
    if suite is None:
        return {}
    found = {}
    for each in suite.expectations:
        where = ", ".join(columns_of(each)) or "table"
        found[f"{where}: {describe(each)}"] = each.severity.value
    found |= {f"{column}: type": kind.value for column, kind in suite.meta.seatrial.types.items()}
    return found
