"""What changed since a commit, in real repositories."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deployments.errors import BadInput
from tasks.ci.git_base import base_of
from tests.advice import followed


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    command = [shutil.which("git") or "git", "-C", str(folder), *named, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`main` with two files, and a branch that changes one, adds one and moves on while `main` does, too."""
    folder = tmp_path / "repository"
    (folder / "specs").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "specs" / "a.yaml").write_text("one\n")
    (folder / "specs" / "b.yaml").write_text("two\n")
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    git(folder, "checkout", "-qb", "change")
    (folder / "specs" / "a.yaml").write_text("changed\n")
    git(folder, "commit", "-qam", "second")
    git(folder, "checkout", "-q", "main")
    (folder / "specs" / "b.yaml").write_text("changed on main\n")
    git(folder, "commit", "-qam", "main goes on")
    git(folder, "checkout", "-q", "change")
    return folder


def test_what_main_did_meanwhile_is_not_ours(repository: Path) -> None:
    (repository / "specs" / "new.yaml").write_text("not committed yet\n")
    (repository / "specs" / "x.log").write_text("ignored\n")
    base = base_of(repository / "specs", "main")
    assert base.commit == git(repository, "merge-base", "main", "HEAD")
    assert {each.name for each in base.changed} == {"a.yaml", "new.yaml"}
    assert base.content(repository / "specs" / "a.yaml") == b"one\n"
    assert base.content(repository / "specs" / "new.yaml") is None
    assert base.content(Path("/etc/passwd")) is None
    assert [each.name for each in base.files(repository / "specs")] == ["a.yaml", "b.yaml"]
    assert base.note == ""


def test_a_shallow_clone_is_compared_with_the_ref_itself_and_says_so(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", "--branch", "change", repository.as_uri(), str(clone))
    with pytest.raises(BadInput) as error:
        base_of(clone, "origin/main")
    assert followed(" here: fetch it before, or give another one as --base") in str(error.value)
    base_of(clone, "HEAD")
    git(clone, "fetch", "-q", "--depth", "1", "origin", "main:refs/remotes/origin/main")
    base = base_of(clone, "origin/main")
    assert "compared with origin/main itself" in base.note
    assert {each.name for each in base.changed} == {"a.yaml", "b.yaml"}


@pytest.mark.parametrize("ref", ["nowhere", "--output=/tmp/x", "-h", "main:specs", "main; id", ""])
def test_a_ref_that_is_none_is_refused(repository: Path, ref: str) -> None:
    with pytest.raises(BadInput, match="git knows no commit"):
        base_of(repository, ref)


def test_outside_a_repository_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no git repository"):
        base_of(tmp_path, "main")


def test_nothing_of_the_repository_is_written_and_nothing_of_it_is_run(repository: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hook = repository / ".git" / "hooks" / "fsmonitor"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    for name, value in (("core.fsmonitor", str(hook)), ("diff.external", f"touch {ran};"), ("diff.x.textconv", "id")):
        git(repository, "config", name, value)
    before = {each: each.stat().st_mtime_ns for each in repository.rglob("*")}
    base_of(repository, "main")
    assert not ran.exists()
    assert {each: each.stat().st_mtime_ns for each in repository.rglob("*")} == before
