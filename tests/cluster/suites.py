"""Contract suites on a real cluster: the same test functions, with fixtures of the real thing."""

import inspect
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any


def cases_of(suite: ModuleType, *worlds: str, but: Collection[str] = ()) -> Mapping[str, Any]:
    """The tests of a suite that are tried in one of the `worlds` (names of fixtures), without those named in `but`.

    Raises LookupError for a name in `but` that is none of them.
    """
    found = {
        name: case
        for name, case in vars(suite).items()
        if name.startswith("test_") and not inspect.signature(case).parameters.keys().isdisjoint(worlds)
    }
    if strange := set(but) - found.keys():
        raise LookupError(f"{suite.__name__} has no {', '.join(sorted(strange))}")
    return {name: case for name, case in found.items() if name not in but}
