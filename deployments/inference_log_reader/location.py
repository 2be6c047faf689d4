"""Where a log lies, and where each part lies in it."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from deployments.errors import BadInput

INCOMING: Final = ".incoming"
FEATURE: Final = "f_"
HASHED: Final = "h_"


@dataclass(frozen=True, slots=True)
class Log:
    """Where the log of a product lies, and how soon an answer is there."""

    folder: str
    flush: timedelta


def is_url(folder: str) -> bool:
    """Whether a log lies at an fsspec URL; else it is a folder of this machine."""
    return "://" in folder


def check_location(folder: str) -> None:
    """Raises `BadInput` for a URL that could not name a folder, or that holds what nobody may read."""
    if not is_url(folder):
        return
    try:
        parts = urlsplit(folder)
    except ValueError:
        raise BadInput("the address is no URL: write protocol://place/folder") from None
    if not parts.scheme or not (parts.netloc + parts.path).strip("/"):
        raise BadInput(f"{folder!r} names no folder: write protocol://place/folder")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadInput(
            "the address may hold no user, password or query, for everybody can read it: "
            "give them in the environment or in fsspec's configuration"
        )


def check_reachable_by_fsspec(folder: str) -> None:
    """Raises `BadInput` if nothing that is installed can write to a URL like this one."""
    if not is_url(folder):
        return
    import fsspec

    protocol = folder.partition("://")[0]
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise BadInput(f"nobody knows the protocol {protocol!r}: use one that fsspec knows, such as s3") from None
    except ImportError as error:
        raise BadInput(f"{protocol}:// needs a package that is not installed: {error}") from None


def part_path(product: str, version: str, day: date, name: str) -> str:
    """Where a part lies in its log."""
    return f"product={product}/version={version}/date={day:%Y-%m-%d}/{name}"


def open_filesystem(folder: str) -> tuple[Any, str]:
    """The file system that a log lies in, as fsspec knows it, and the log's path there."""
    import fsspec

    # Files come and go by other hands, so that a remembered listing would be wrong.
    system, path = fsspec.url_to_fs(folder, **({"use_listings_cache": False} if is_url(folder) else {}))
    return system, str(path).rstrip("/")
