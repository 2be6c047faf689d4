"""Where servers of `target: local` run: one platform of one machine, among several that may share a journal.

What stands before the first blank tells places apart; what follows says where it is, for people.
"""

import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from deployments.atomic_files import write_once
from deployments.process_identity import this_process
from deployments.settings import Settings

_FILE: Final = "place"


def this_place(settings: Settings) -> str:
    """The place of this platform: as the settings name it, or by an id that is drawn once for its home.

    With it goes the machine's own id, where it has one: a home may be copied, or lie on a disk that machines share.
    """
    owner = this_process()
    if settings.place is not None:
        return f"{settings.place} (on {owner.host})"
    home = _drawn(settings.home) or f"host-{owner.host}"
    return f"{home}{f'@{owner.machine[:12]}' if owner.machine else ''} (on {owner.host})"


def is_elsewhere(place: str, here: str) -> bool:
    """Whether both are known, and not the same. Older journals do not say where a rollout runs."""
    return bool(place) and bool(here) and id_of(place) != id_of(here)


def id_of(place: str) -> str:
    """What `SEATRIAL_PLACE` has to be for a platform that takes its place."""
    return place.partition(" ")[0]


def _drawn(home: Path) -> str:
    """Empty where nothing can be kept: there no servers run either."""
    path = home / _FILE
    with suppress(OSError):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            write_once(path, uuid.uuid4().hex[:16].encode())
        return path.read_text().strip()
    return ""
