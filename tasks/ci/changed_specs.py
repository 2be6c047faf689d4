"""Which specs are looked at: those that were named, those that changed since a base, or all of them."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from deployments.errors import BadInput, SeatrialError
from tasks.ci.git_base import Base
from tasks.data_validation.suite_file import Suite, load_suite
from tasks.product_spec import ProductSpec
from tasks.spec_file import find_spec, load_product

_ENDINGS: Final = frozenset({".yaml", ".yml"})


class Fate(StrEnum):
    """How a spec stands to the base."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    SAME = "unchanged"
    UNKNOWN = "looked at"  # nothing to compare with was asked for


@dataclass(frozen=True, slots=True)
class Former:
    """A spec and its suite as the base has them; `suite` is None where that was none, or cannot be read."""

    spec: ProductSpec
    suite: Suite | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A spec to look at. `former` is None where the base has none that can be used; `note` says why that is odd."""

    file: Path
    fate: Fate
    former: Former | None = None
    note: str = ""


def candidates(named: Sequence[str], base: Base | None, project: Path, specs: Path) -> tuple[Candidate, ...]:
    """By name or path where any is `named`; else what differs from `base`; else every spec in the folder `specs`.

    A spec differs where its file, its suite, its data in the repository or the module of its model does. Raises
    `NotFound` for a name that is none, `BadInput` for a folder without specs.
    """
    if named:
        return tuple(_candidate(find_spec(each, specs), base) for each in dict.fromkeys(named))
    there = sorted(file for file in specs.glob("*") if file.suffix in _ENDINGS)
    if base is None:
        if not there:
            raise BadInput(f"no spec in {specs}: name the files that are meant")
        return tuple(Candidate(file, Fate.UNKNOWN) for file in there)
    gone = [file for file in base.files(specs) if file.suffix in _ENDINGS and file not in there]
    changed = [file for file in there if not base.changed.isdisjoint(_files_of(file, project))]
    return (*(_candidate(file, base) for file in changed), *(_candidate(file, base) for file in gone))


def _candidate(file: Path, base: Base | None) -> Candidate:
    if base is None:
        return Candidate(file, Fate.UNKNOWN)
    content = base.content(file)
    if content is None:
        return Candidate(file, Fate.ADDED)
    try:
        former = _former(file, content, base)
    except SeatrialError:
        return Candidate(file, Fate.CHANGED, note="the base's spec cannot be used, so there is nothing to compare with")
    fate = Fate.CHANGED if file.exists() else Fate.REMOVED
    return Candidate(file, fate, former)


def _former(file: Path, content: bytes, base: Base) -> Former:
    """Read at a place of its own, with the paths that it has at its own place."""
    with tempfile.TemporaryDirectory(prefix="seatrial-base-") as scratch:
        place = Path(scratch).resolve()
        spec = load_product(_put(place, file, content))

        def here(path: str) -> str:
            inside = Path(path)
            return f"/{inside.relative_to(place)}" if inside.is_relative_to(place) else path

        suite_file = Path(here(spec.validation.suite))
        written = base.content(suite_file)
        suite = None
        if written is not None:
            try:
                suite = load_suite(_put(place, suite_file, written))
            except SeatrialError:
                suite = None
        source = spec.data.source
        moved = source.model_copy(update={"path": here(source.path) if source.path else None})
        log = spec.rollout.server.log
        server = spec.rollout.server.model_copy(
            update={"log": log.model_copy(update={"folder": here(log.folder) if log.folder else log.folder})}
        )
        return Former(
            spec.model_copy(
                update={
                    "data": spec.data.model_copy(update={"source": moved}),
                    "validation": spec.validation.model_copy(update={"suite": str(suite_file)}),
                    "rollout": spec.rollout.model_copy(update={"server": server}),
                }
            ),
            suite,
        )


def _put(place: Path, file: Path, content: bytes) -> Path:
    path = place / file.relative_to(file.anchor)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _files_of(file: Path, project: Path) -> Iterator[Path]:
    """All that decides what a release of a spec does and that may lie in the repository, absolute."""
    yield file
    try:
        spec = load_product(file)
    except SeatrialError:
        return
    yield Path(spec.validation.suite)
    if spec.data.source.path:
        yield Path(spec.data.source.path)
    module = (spec.model.factory or spec.model.estimator or "").partition(".")[0]
    yield project / f"{module}.py"
    yield from (project / module).rglob("*.py")
