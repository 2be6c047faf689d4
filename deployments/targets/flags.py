"""What a model server is told on its command line of how it shall behave."""

from collections.abc import Iterator
from pathlib import Path

from deployments.spec import LogSection, ServerSection, StickyKey


def server_flags(server: ServerSection, key: StickyKey, log_folder: Path) -> tuple[str, ...]:
    """The flags of `python -m deployments.serving`; `log_folder` is for a log that has no place of its own."""
    return tuple(_log_flags(server.log, key, log_folder))


def _log_flags(log: LogSection, key: StickyKey, log_folder: Path) -> Iterator[str]:
    if not log.enabled or log.sample == 0:
        return
    yield from ("--log-folder", log.folder or str(log_folder))
    yield from ("--log-sample", str(log.sample), "--log-flush", str(log.flush.total_seconds()))
    yield from (word for column in log.mask for word in ("--log-mask", column))
    yield from ("--key-cookie", key.cookie) if key.cookie is not None else ("--key-header", str(key.header))
