"""Room on a full disk for what cannot wait: logs give way."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from deployments.inference_log_reader import parts_in, remove_part
from deployments.settings import Settings

# What a way back writes, MLflow's database included.
_ENOUGH: Final = 8 * 1024 * 1024


def make_room(settings: Settings) -> int:
    """Logs of programs go, the old ones first, until there is room on the disk of the home; returns the bytes freed.

    Nothing happens where there is room. Where logs of the platform's own programs are not enough, the oldest parts of
    the inference log go: users who get wrong answers now come before what others got once.
    """
    freed = 0
    for path in (*_rotated(settings.logs), *_present(settings.logs)):
        with suppress(OSError):
            if _has_room(settings):
                return freed
            size = path.stat().st_size
            if path.suffix == ".log":
                os.truncate(path, 0)  # its program goes on writing at the end
            else:
                path.unlink()
            freed += size
    for part in sorted(parts_in(settings.inference_log)):
        with suppress(OSError):
            if _has_room(settings):
                break
            freed += part.size if remove_part(part) else 0
    return freed


def _has_room(settings: Settings) -> bool:
    return shutil.disk_usage(settings.home).free >= _ENOUGH


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
