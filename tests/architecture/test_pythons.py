"""Which Pythons: every page and file names the same ones, and what somebody names is what runs."""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.architecture.test_documentation import PAGES, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OLDEST, NEWEST = "3.11", "3.13"
BESIDE = ["clients", "execution"]
MAKE = shutil.which("make") or "make"
SAYING = [*PAGES, ROOT / "Dockerfile", ROOT / "Makefile"]


def minor(version: str) -> int:
    return int(version.removeprefix("3."))


def test_the_package_is_for_them_and_for_no_other() -> None:
    assert PROJECT["project"]["requires-python"] == f">={OLDEST},<3.{minor(NEWEST) + 1}"
    named = {
        found.group(1)
        for each in PROJECT["project"]["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each))
    }
    assert named == {f"3.{each}" for each in range(minor(OLDEST), minor(NEWEST) + 1)}


@pytest.mark.parametrize("page", SAYING, ids=[page.name for page in SAYING])
def test_a_page_that_names_a_range_names_this_one(page: Path) -> None:
    ranges = set(re.findall(r"\b(3\.\d\d?) to (3\.\d\d?)\b", page.read_text(encoding="utf-8")))
    assert ranges <= {(OLDEST, NEWEST)}
    assert ranges or page.name not in {"README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile", "kubernetes.md"}


def test_make_refuses_every_other() -> None:
    told = re.search(
        r"sys\.exit\(not \(3, (\d+)\) <= sys\.version_info < \(3, (\d+)\)\)", (ROOT / "Makefile").read_text()
    )
    assert told is not None
    assert (int(told[1]), int(told[2])) == (minor(OLDEST), minor(NEWEST) + 1)


def test_code_and_lock_are_written_for_the_oldest() -> None:
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{OLDEST.replace('.', '')}"
    assert PROJECT["tool"]["mypy"]["python_version"] == OLDEST
    locks = re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())
    assert locks
    assert set(locks) == {OLDEST}


def test_ci_runs_the_oldest_and_the_newest() -> None:
    assert re.findall(r"\.ci/python (3\.\d+)", (ROOT / ".ci" / "run").read_text()) == [OLDEST, NEWEST]


def interpreter(path: Path, version: str) -> Path:
    """Something that answers as Python of a version does, when it is asked which it is, and does nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, whose `.venv` is of 3.11."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for name in ("pyproject.toml", "requirements.lock", *(f"tests/{each}/requirements.lock" for each in BESIDE)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    interpreter(tmp_path / ".venv" / "bin" / "python", "3.11")
    return tmp_path


def make(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What `make` would do: -n, so nothing is done."""
    environment = {"PATH": os.environ["PATH"], "PYENV_ROOT": str(checkout / "pyenv")}
    return subprocess.run(
        [MAKE, "-n", *words], cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def run_by(done: subprocess.CompletedProcess[str]) -> set[str]:
    lines = [shlex.split(line) for line in done.stdout.splitlines() if " -m pytest" in line]
    return {words[0] for words in lines}


def test_a_python_that_nobody_named_leaves_the_environment_as_it_is(checkout: Path) -> None:
    assert run_by(make(checkout, "test")) == {".venv/bin/python"}


def test_the_python_of_the_environment_may_be_named(checkout: Path) -> None:
    same = interpreter(checkout / "other" / "python3.11", "3.11")
    assert run_by(make(checkout, "test", f"PYTHON={same}")) == {".venv/bin/python"}


def test_another_python_gets_an_environment_of_its_own_and_make_says_so(checkout: Path) -> None:
    another = interpreter(checkout / "other" / "python3.13", "3.13")
    done = make(checkout, "test", f"PYTHON={another}")
    assert run_by(done) == {".venv-3.13/bin/python"}
    assert done.stdout.startswith(".venv has Python 3.11; this is Python 3.13, in .venv-3.13\n")
    assert f"{another} -m venv .venv-3.13" in done.stdout


@pytest.mark.parametrize("kind", BESIDE)
def test_what_is_installed_beside_it_is_of_the_same_python(checkout: Path, kind: str) -> None:
    another = interpreter(checkout / "other" / "python3.13", "3.13")
    assert f"-p .venv-3.13/bin/python .venv-3.13-{kind}\n" in make(checkout, f"test-{kind}", f"PYTHON={another}").stdout


def test_the_first_environment_is_of_the_python_that_is_named(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    another = interpreter(checkout / "other" / "python3.13", "3.13")
    assert run_by(make(checkout, "test", f"PYTHON={another}")) == {".venv/bin/python"}


def test_a_python_that_pyenv_keeps_may_be_named_as_any_other(checkout: Path) -> None:
    kept = interpreter(checkout / "pyenv" / "versions" / "3.99.1" / "bin" / "python", "3.99")
    done = make(checkout, "test", "PYTHON=python3.99")
    assert run_by(done) == {".venv-3.99/bin/python"}
    assert f"{kept} -m venv .venv-3.99" in done.stdout


def test_an_environment_elsewhere_stays_with_its_python_too(checkout: Path) -> None:
    interpreter(checkout / "mine" / "bin" / "python", "3.12")
    another = interpreter(checkout / "other" / "python3.13", "3.13")
    assert run_by(make(checkout, "test", "VENV=mine", f"PYTHON={another}")) == {"mine-3.13/bin/python"}


def test_a_python_that_is_not_there_is_named(checkout: Path) -> None:
    done = make(checkout, "test", "PYTHON=/nowhere/python3.12")
    assert done.returncode == 2
    assert "PYTHON=/nowhere/python3.12 does not run: name a Python 3.11 to 3.13" in done.stderr


def test_clean_forgets_all_of_them(checkout: Path) -> None:
    (checkout / ".venv-3.13-clients").mkdir()
    (checkout / ".venvs of others").mkdir()
    assert make(checkout, "clean").stdout == "rm -rf .venv .venv-3.13-clients\n"


def found(version: str, *, path: Path, pyenv: Path) -> str:
    """What `.ci/python` prints; bash and what it needs are on PATH too."""
    environment = {"PATH": f"{path}:{os.environ['PATH']}", "PYENV_ROOT": str(pyenv), "HOME": "/nonexistent"}
    done = subprocess.run(
        [str(ROOT / ".ci" / "python"), version],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (not done.stdout)
    return done.stdout.removesuffix("\n")


def test_ci_finds_a_python_on_path_or_in_the_folder_of_pyenv(tmp_path: Path) -> None:
    path, pyenv = tmp_path / "bin", tmp_path / "pyenv"
    assert found("3.99", path=path, pyenv=pyenv) == ""
    kept = interpreter(pyenv / "versions" / "3.99.1" / "bin" / "python", "3.99")
    assert found("3.99", path=path, pyenv=pyenv) == str(kept)
    on_path = interpreter(path / "python3.99", "3.99")
    assert found("3.99", path=path, pyenv=pyenv) == str(on_path)


def test_ci_passes_over_commands_of_pyenv_that_do_not_answer(tmp_path: Path) -> None:
    path, pyenv = tmp_path / "bin", tmp_path / "pyenv"
    shim = interpreter(path / "python3.99", "3.99")
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.99: command not found' >&2\nexit 127\n")
    assert found("3.99", path=path, pyenv=pyenv) == ""
    kept = interpreter(pyenv / "versions" / "3.99.1" / "bin" / "python", "3.99")
    assert found("3.99", path=path, pyenv=pyenv) == str(kept)
