"""What `doctor` looks at and says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deployments.account_isolation import (
    Exposed,
    changeable_by_others,
    changeable_code,
    close_to_others,
    exposed_files,
    is_shared_folder,
)
from deployments.errors import BadInput
from deployments.settings import current
from flows.entrypoints import console

_SHOWN = 20


def doctor_report(mend: bool) -> dict[str, Any]:
    """`exposed_files`: what others may do now, each with path and reason; `mended`: what they could until now."""
    settings = current()
    home, project = settings.home.resolve(), settings.project.resolve()
    if mend and is_shared_folder(home):
        raise BadInput(f"{home} is needed by others, and is not closed to them")
    found = [*exposed_files(home), *_code(project, settings.specs_folder, home)]
    mended = [each for each in found if mend and _closed(each)]
    left = [_shown(each) for each in found if each not in mended]
    if replaceable := changeable_by_others(home):
        reason = f"everybody may put another folder in the place of {home}: `chmod o-w` it, or set its sticky bit"
        left.append({"path": str(replaceable), "reason": reason})
    return {"home": str(home), "exposed": left, "mended": [_shown(each) for each in mended]}


def print_doctor(report: dict[str, Any]) -> None:
    """For people: the first of many, and what to do."""
    for each in _first(report["mended"]):
        console.say_done(f"closed to others: {each['path']} ({each['reason']})")
    for each in _first(report["exposed"]):
        console.warn(f"{each['path']}: {each['reason']}")
    for name, say in (("mended", console.say_done), ("exposed", console.warn)):
        if (more := len(report[name]) - _SHOWN) > 0:
            say(f"and {more} more (all of them with --json)")
    if not report["exposed"]:
        console.say(f"{report['home']}: nobody else may read or change anything, nor the code that is run")
    elif not report["mended"]:
        console.say("`seatrial doctor --mend` closes to others what belongs to you")


def _code(project: Path, specs: Path, home: Path) -> Iterator[Exposed]:
    """Of the user's, which runs as this account whenever something is released."""
    yield from changeable_code(project, home)
    if specs != project and project not in specs.parents and specs.is_dir():
        yield from changeable_code(specs, home)


def _first(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return found[:_SHOWN]


def _closed(found: Exposed) -> bool:
    try:
        close_to_others(found)
    except OSError:  # it is not ours
        return False
    return True


def _shown(found: Exposed) -> dict[str, str]:
    return {"path": str(found.path), "reason": found.reason}
