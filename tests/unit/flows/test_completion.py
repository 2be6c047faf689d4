"""A shell that asks what may stand next is answered at once, truly, and with nothing that it would run."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from deployments.journals.database import DatabaseJournal
from flows.entrypoints.cli.completion import TABLE
from flows.entrypoints.cli.completion_table import table

ROOT = Path(__file__).parents[3]
BASH = shutil.which("bash") or "bash"
HEAVY = {"typer", "pydantic", "rich", "yaml", "httpx", "sqlalchemy", "mlflow", "prefect", "pandas", "numpy"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two products, and the command `seatrial` on a PATH of its own."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "seatrial"
    command.write_text(f"#!{sys.executable}\nfrom flows.entrypoints.cli.start import main\nmain()\n")
    command.chmod(0o755)
    (tmp_path / "specs").mkdir()
    for name in ("flights", "bikeshare"):
        (tmp_path / "specs" / f"{name}.yaml").write_text(f"# a spec\nproduct: {name}\ndata: {{}}\n")
    return tmp_path


def environment(project: Path, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SEATRIAL_", "_"))}
    path = f"{project / 'bin'}:{os.environ['PATH']}"
    return own | {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(project)} | more


def asked(project: Path, shell: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "bin" / "seatrial"],
        env=environment(project, _SEATRIAL_COMPLETE=f"complete_{shell}", **more),
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def script() -> str:
    """What bash is to source, as the command line itself writes it."""
    program = "import sys; sys.argv = ['seatrial']; from flows.entrypoints.cli.start import main; main()"
    told = os.environ | {"_SEATRIAL_COMPLETE": "source_bash"}
    return subprocess.run([sys.executable, "-c", program], env=told, capture_output=True, text=True, check=True).stdout


def in_bash(project: Path, *words: str) -> list[str]:
    """What a real bash offers for a line whose last word is being written."""
    listed = " ".join(f"'{word}'" for word in words)
    line = (
        f"{script()}\nCOMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}\n"
        '_seatrial_completion seatrial; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        [BASH, "--noprofile", "--norc", "-c", line],
        env=environment(project),
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n")[:-1]


def test_bash_is_told_commands_options_products_and_choices(project: Path) -> None:
    assert in_bash(project, "seatrial", "re") == ["repair", "remove", "release", "retry", "replay", "resume"]
    assert in_bash(project, "seatrial", "release", "") == ["flights", "bikeshare"][::-1]
    assert in_bash(project, "seatrial", "release", "fl") == ["flights"]
    assert in_bash(project, "seatrial", "release", "flights", "--st") == ["--strategy"]
    assert in_bash(project, "seatrial", "release", "flights", "--strategy", "ca") == ["canary"]
    assert in_bash(project, "seatrial", "release", "flights", "--strategy", "=", "sh") == ["shadow"]
    assert in_bash(project, "seatrial", "webhook", "create", "") == ["mlflow", "github", "generic"]
    assert in_bash(project, "seatrial", "webhook", "create", "github", "b") == ["bikeshare"]
    assert in_bash(project, "seatrial", "ci", "flights", "b") == ["bikeshare"]
    assert in_bash(project, "seatrial", "release", "flights", "") == [""]  # bash goes on with files


def test_rollouts_are_those_of_the_journal_and_it_is_only_read(project: Path) -> None:
    home = project / ".seatrial"
    home.mkdir()
    DatabaseJournal(f"sqlite:///{home / 'journal.db'}").close()
    with closing(sqlite3.connect(home / "journal.db")) as there:
        for number, day in ((1, "2026-01-01"), (2, "2026-01-02")):
            row = (f"496f-{number}", "flights", f"{day} 00:00:00", "{}", 0)
            there.execute("INSERT INTO rollouts (rollout_id, product, started_at, state, live) VALUES (?,?,?,?,?)", row)
        there.commit()
    assert in_bash(project, "seatrial", "explain", "flights", "--rollout", "") == ["496f-2", "496f-1"]
    assert in_bash(project, "seatrial", "explain", "other", "--rollout", "") == [""]
    (home / "journal.db").write_bytes(b"damaged")
    assert in_bash(project, "seatrial", "explain", "flights", "--rollout", "") == [""]
    (home / "journal.db").unlink()
    in_bash(project, "seatrial", "explain", "flights", "--rollout", "")
    assert not (home / "journal.db").exists()


def test_the_table_is_that_of_the_commands() -> None:
    """When it is not: `python -m flows.entrypoints.cli.completion_table`."""
    assert json.loads(TABLE.read_text()) == table()


def test_nothing_heavy_is_imported(project: Path) -> None:
    program = (
        "import os, sys; os.environ['_SEATRIAL_COMPLETE'] = 'complete_bash'\n"
        "os.environ |= {'COMP_WORDS': 'seatrial\\nexplain\\nflights\\n--rollout\\n', 'COMP_CWORD': '4'}\n"
        "from flows.entrypoints.cli.start import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(project), capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())


def test_it_costs_a_fraction_of_what_the_command_line_costs(project: Path) -> None:
    """A ratio, for a busy machine; alone it is some 30 ms."""

    def took(run: Callable[[], object]) -> float:
        began = time.monotonic()
        run()
        return time.monotonic() - began

    line = {"COMP_WORDS": "seatrial\nrelease\n", "COMP_CWORD": "2"}
    answered = min(took(lambda: asked(project, "bash", **line)) for _ in range(3))
    command = [project / "bin" / "seatrial", "--help"]
    helped = min(
        took(lambda: subprocess.run(command, env=environment(project), capture_output=True, check=True))
        for _ in range(3)
    )
    assert answered < helped / 2


def test_a_file_of_any_name_is_never_run(project: Path) -> None:
    names = ["$(touch ran)", "`touch ran`", "a b;touch ran", "*", "x'\"x", "-rf"]
    for name in names:
        (project / "specs" / f"{name}.yaml").write_text("product: flights\n")
    listed = {"COMP_WORDS": "seatrial\nlint\n", "COMP_CWORD": "2", "_TYPER_COMPLETE_ARGS": "seatrial lint "}
    assert asked(project, "bash", **listed).stdout.split() == ["bikeshare", "flights"]
    assert asked(project, "zsh", **listed).stdout == '_arguments \'*: :(("bikeshare"\n"flights"))\'\n'
    assert asked(project, "fish", **listed, _TYPER_COMPLETE_FISH_ACTION="get-args").stdout == "bikeshare\t\nflights\t\n"
    assert in_bash(project, "seatrial", "lint", "") == ["bikeshare", "flights"]
    assert not (project / "ran").exists()


def test_zsh_and_fish_are_answered_in_their_forms(project: Path) -> None:
    zsh = asked(project, "zsh", _TYPER_COMPLETE_ARGS="seatrial we").stdout
    assert zsh.startswith('_arguments \'*: :(("webhook":"')
    assert asked(project, "zsh", _TYPER_COMPLETE_ARGS="seatrial release flights ").stdout == "_files\n"
    fish = asked(project, "fish", _TYPER_COMPLETE_ARGS="seatrial li", _TYPER_COMPLETE_FISH_ACTION="get-args").stdout
    assert fish.startswith("lint\tCheck a product spec")
    for line, code in (("seatrial li", 0), ("seatrial release flights x", 1)):
        answer = asked(project, "fish", _TYPER_COMPLETE_ARGS=line, _TYPER_COMPLETE_FISH_ACTION="is-args")
        assert (answer.returncode, answer.stdout) == (code, "")
    assert asked(project, "zsh", _TYPER_COMPLETE_ARGS='seatrial release "fl').returncode == 0  # a quote still open


@pytest.mark.parametrize(
    ("shell", "asks"), [("bash", "complete_bash"), ("zsh", "complete_zsh"), ("fish", "complete_fish")]
)
def test_the_script_of_each_shell_is_shown(project: Path, shell: str, asks: str) -> None:
    told = environment(project, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    shown = subprocess.run(
        [project / "bin" / "seatrial", "--show-completion", shell], env=told, capture_output=True, text=True, check=True
    ).stdout
    assert f"_SEATRIAL_COMPLETE=complete_{shell}" in shown


def test_it_is_installed_for_the_shell_that_asks(project: Path) -> None:
    told = environment(project, SHELL=BASH)
    done = subprocess.run(
        [BASH, "--norc", "-c", "seatrial --install-completion; true"],
        env=told,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "bash completion installed" in done.stdout
    assert (project / ".bash_completions" / "seatrial.sh").is_file()
    assert "seatrial.sh" in (project / ".bashrc").read_text()
