"""What a model server is told on its command line of how it shall behave."""

from collections.abc import Iterator
from pathlib import Path

from deployments.spec import LogSection, ServerSection, StickyKey


def server_flags(server: ServerSection, key: StickyKey, log_folder: Path) -> tuple[str, ...]:
    """The flags of `python -m deployments.serving`; `log_folder` is for a log that has no place of its own."""
    return (*_limit_flags(server), *_key_flags(key), *_log_flags(server.log, log_folder))


def _limit_flags(server: ServerSection) -> Iterator[str]:
    limits = server.limits
    yield from ("--max-body-bytes", str(limits.body), "--max-rows", str(limits.rows))
    yield from ("--max-seconds", str(limits.time.total_seconds()), "--max-in-flight", str(limits.in_flight))
    if server.missing == "refuse":
        yield "--refuse-missing"
    if server.unknown_categories == "refuse":
        yield "--refuse-unknown-categories"
    if server.unknown_columns == "ignore":
        yield "--ignore-unknown-columns"


def _key_flags(key: StickyKey) -> Iterator[str]:
    yield from ("--key-cookie", key.cookie) if key.cookie is not None else ("--key-header", str(key.header))


def _log_flags(log: LogSection, log_folder: Path) -> Iterator[str]:
    if not log.enabled or log.sample == 0:
        return
    yield from ("--log-folder", log.folder or str(log_folder))
    yield from ("--log-sample", str(log.sample), "--log-flush", str(log.flush.total_seconds()))
    yield from ("--log-size", str(log.size), "--log-rate", str(log.rate))
    yield from (word for column in log.mask for word in ("--log-mask", column))
