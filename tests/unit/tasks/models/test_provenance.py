import subprocess
from pathlib import Path

import pytest

from tasks.models.provenance import commit_of, requirements, versions


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)  # noqa: S607 - a test


def test_outside_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert commit_of(tmp_path) is None


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert commit_of(Path.cwd()) is None


def test_a_changed_file_makes_the_commit_dirty(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")

    clean = commit_of(tmp_path)
    (tmp_path / "code.py").write_text("2")
    dirty = commit_of(tmp_path)

    assert clean is not None
    assert dirty is not None
    assert (len(clean.id), clean.dirty, dirty.dirty) == (40, False, True)
    assert dirty.id == clean.id


def test_requirements_are_pinned_to_what_is_installed() -> None:
    found = requirements()

    assert [each.partition("==")[0] for each in found] == ["scikit-learn", "skops", "pandas", "numpy"]
    assert f"numpy=={versions()['numpy']}" in found
    assert requirements(["no-such-package"]) == []
