"""Who writes, and what is written."""

from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.errors import RouterUnreachable
from deployments.routers.envoy.config_files import EnvoyFiles, read_document, sole_writer, versioned, write_document

ONE_SECOND = timedelta(seconds=1)


def test_a_second_writer_waits_and_then_says_for_what(tmp_path: Path) -> None:
    files, clock = EnvoyFiles(tmp_path, tmp_path), ManualClock()
    with (
        sole_writer(files, clock, ONE_SECOND),
        pytest.raises(RouterUnreachable, match=r"lock has been held by process \d+ .* for 1 s: see what"),
        sole_writer(files, clock, ONE_SECOND),
    ):
        pass
    assert 1 <= clock.monotonic() < 1.1


def test_the_lock_is_free_after_a_writer_that_failed(tmp_path: Path) -> None:
    files, clock = EnvoyFiles(tmp_path, tmp_path), ManualClock()
    with pytest.raises(ZeroDivisionError), sole_writer(files, clock, ONE_SECOND):
        1 / 0  # noqa: B018 - the writer fails
    with sole_writer(files, clock, ONE_SECOND):
        assert clock.monotonic() == 0


def test_the_version_says_the_content() -> None:
    one, same, other = versioned([{"a": 1, "b": 2}]), versioned([{"b": 2, "a": 1}]), versioned([{"a": 1, "b": 3}])
    assert one["version_info"] == same["version_info"] != other["version_info"]


def test_documents_read_back_and_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cds.json"
    write_document(path, {"resources": []})
    assert read_document(path) == {"resources": []}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_what_is_no_document_reads_as_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "cds.json"
    if content is not None:
        path.write_bytes(content)
    assert read_document(path) is None
