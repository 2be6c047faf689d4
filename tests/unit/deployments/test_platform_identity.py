"""Which platform local servers belong to, among several that share a journal."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deployments.platform_identity import id_of, is_elsewhere, this_place
from deployments.settings import Settings


def test_a_home_is_a_place_for_good_and_another_home_is_another(tmp_path: Path) -> None:
    here, there = (this_place(Settings(home=tmp_path / name)) for name in ("a", "b"))
    assert this_place(Settings(home=tmp_path / "a")) == here
    assert is_elsewhere(there, here)
    assert not is_elsewhere(here, here)


def test_a_copied_home_on_another_machine_is_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = this_place(Settings(home=tmp_path))
    drawn = id_of(here).partition("@")[0]
    assert is_elsewhere(f"{drawn}@0000deadbeef (on {here})", here)


def test_a_renamed_host_is_the_same_place(tmp_path: Path) -> None:
    here = this_place(Settings(home=tmp_path))
    assert not is_elsewhere(f"{id_of(here)} (on its-former-name)", here)


def test_a_place_can_be_taken(tmp_path: Path) -> None:
    lost = this_place(Settings(home=tmp_path / "lost"))
    assert not is_elsewhere(lost, this_place(Settings(home=tmp_path / "new", place=id_of(lost))))


@pytest.mark.parametrize(("place", "here"), [("", "a (on b)"), ("a (on b)", ""), ("", "")])
def test_where_nobody_says_it_is_not_elsewhere(place: str, here: str) -> None:
    assert not is_elsewhere(place, here)


def test_of_many_that_begin_at_once_all_are_of_one_place(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as many:
        places = set(many.map(lambda _: this_place(Settings(home=tmp_path / "home")), range(32)))
    assert len(places) == 1
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["place"]


def test_a_home_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert this_place(Settings(home=tmp_path / "file" / "home")).startswith("host-")
