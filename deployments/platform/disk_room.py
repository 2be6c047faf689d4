"""Room on a full disk for what cannot wait: logs give way."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from deployments.settings import Settings

# What a way back writes, MLflow's database included.
_ENOUGH: Final = 8 * 1024 * 1024


def make_room(settings: Settings) -> int:
    """Logs of programs go, the old ones first, until there is room on the disk of the home; returns the bytes freed.

    Nothing happens where there is room, and nothing but logs of the platform's own programs is touched: what users sent
    and were answered stays.
    """
    freed = 0
    for path in (*_rotated(settings.logs), *_present(settings.logs)):
        with suppress(OSError):
            if shutil.disk_usage(settings.home).free >= _ENOUGH:
                break
            size = path.stat().st_size
            if path.suffix == ".log":
                os.truncate(path, 0)  # its program goes on writing at the end
            else:
                path.unlink()
            freed += size
    return freed


def _rotated(logs: Path) -> list[Path]:
    """Oldest first."""
    return sorted(logs.glob("*.log.*"), key=_age)


def _present(logs: Path) -> list[Path]:
    """Largest first."""
    return sorted(logs.glob("*.log"), key=lambda path: -_size(path))


def _age(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
