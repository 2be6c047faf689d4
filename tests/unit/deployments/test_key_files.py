"""Secrets of a platform's own: drawn once, read by nobody else."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deployments.errors import BadInput, NotFound
from deployments.key_files import drawn_text, key, known_key
from tests.advice import followed


def test_a_key_is_drawn_once_and_stays(tmp_path: Path) -> None:
    first = key(tmp_path / "keys", "prefect")
    assert key(tmp_path / "keys", "prefect") == first == known_key(tmp_path / "keys", "prefect")
    assert key(tmp_path / "keys", "requests") != first


def test_nobody_else_may_look_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key(tmp_path / "keys", "prefect")
    finally:
        os.umask(before)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "prefect").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["prefect"]


def test_all_who_draw_at_one_moment_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(lambda _: key(tmp_path, "prefect"), range(64)))) == 1


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_a_key_that_others_may_read_is_none(tmp_path: Path, mode: int) -> None:
    key(tmp_path, "prefect")
    (tmp_path / "prefect").chmod(mode)
    with pytest.raises(BadInput, match=followed("others may read the key ")):
        known_key(tmp_path, "prefect")
    (tmp_path / "prefect").chmod(0o600)  # as the message says
    assert known_key(tmp_path, "prefect")


def test_an_empty_file_is_no_key_and_one_that_is_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "prefect").touch(mode=0o600)
    with pytest.raises(BadInput, match=followed("is empty: remove it, and a new one is drawn")):
        key(tmp_path, "prefect")
    (tmp_path / "prefect").unlink()  # as the message says
    with pytest.raises(NotFound, match=followed("`seatrial up` draws the keys of a platform")):
        known_key(tmp_path, "prefect")
    drawn = key(tmp_path, "prefect", drawn_text)  # as `up` does
    assert known_key(tmp_path, "prefect") == drawn
