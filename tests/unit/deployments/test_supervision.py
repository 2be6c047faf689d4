import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from deployments.errors import BadInput, TargetUnreachable
from deployments.supervision import Program, ProgramState, Supervisor
from deployments.supervision.orphan_processes import daemons_of, leftovers_of
from deployments.supervision.program import ini_value
from deployments.supervision.program_files import Definitions

AWKWARD = {
    "SINGLE": "it's",
    "DOUBLE": 'say "hi"',
    "BOTH": """'"both"'""",
    "INI": "a ; b # c, d=e",
    "PERCENT": "100% %(here)s %(ENV_HOME)s",
    "LINES": "one\ntwo",
    "SHELL": "$(id) `id` $HOME \\",
    "EMPTY": "",
}
TAKES_SOCKET = """
import os, socket, sys, time
path = sys.argv[1]
time.sleep(0.3)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path + "~"); listener.listen(); os.rename(path + "~", path)
time.sleep(1000)
"""


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Short, for the sockets; with every character that configuration files like to stumble over."""
    folder = Path(tempfile.mkdtemp(prefix="s %[a]'")).resolve()
    (folder / "run").mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def empty() -> Iterator[Path]:
    """A home in which nothing was started yet."""
    with short_folder() as folder:
        yield folder


@pytest.fixture
def mortal(empty: Path) -> Iterator[Supervisor]:
    """A supervisord that may be killed."""
    with running_in(empty) as supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Supervisor, Path]]:
    with short_folder() as folder, running_in(folder) as supervisor:
        yield supervisor, folder


@pytest.fixture
def home(shared: tuple[Supervisor, Path]) -> Path:
    return shared[1]


@pytest.fixture
def supervisor(shared: tuple[Supervisor, Path]) -> Iterator[Supervisor]:
    """A supervisord that has no program yet, shared by the tests that do not kill it."""
    supervisor, _ = shared
    yield supervisor
    for name in supervisor.known():
        supervisor.remove(name, within=timedelta(0))


@contextlib.contextmanager
def running_in(home: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(home / "run", home, home / "logs")
    supervisor.start()
    yield supervisor
    supervisor.shutdown(within=timedelta(seconds=5))
    assert not daemons_of(home / "run")
    assert not leftovers_of(home / "run")


def program(home: Path, *command: str, name: str = "sleeper", **more: object) -> Program:
    return Program(name, command or ("sleep", "1000"), home, home / "logs" / f"{name}.log", **more)  # type: ignore[arg-type]


def pid_of(supervisor: Supervisor, name: str = "sleeper") -> int:
    pid = supervisor.reports()[name].pid
    assert pid is not None
    return pid


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def test_every_environment_value_arrives_as_it_was_given(supervisor: Supervisor, home: Path) -> None:
    found = home / "environment"
    write = f'env -0 > "{found}~" && mv "{found}~" "{found}" && exec sleep 1000'
    supervisor.put(program(home, "/bin/sh", "-c", write, environment=AWKWARD))
    assert eventually(found.exists)
    arrived = dict(entry.split("=", 1) for entry in found.read_text().split("\0") if entry)
    assert {name: arrived.get(name) for name in AWKWARD} == AWKWARD
    assert "SEATRIAL_PROGRAM" in arrived


def test_a_secret_is_in_files_of_ours_alone_and_in_no_log(supervisor: Supervisor, home: Path) -> None:
    supervisor.put(program(home, environment={"PASSWORD": "hunter2"}))
    assert eventually(lambda: supervisor.state("sleeper") is ProgramState.RUNNING)
    holders = [path for path in home.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert set(holders) == {home / "programs" / name for name in ("sleeper.sh", "copies/sleeper.json")}
    files = [path for path in (home / "programs").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert "hunter2" not in " ".join(psutil.Process(pid_of(supervisor)).cmdline())


def test_an_unchanged_program_is_left_alone_and_a_changed_one_restarted(supervisor: Supervisor, home: Path) -> None:
    supervisor.put(program(home))
    first = pid_of(supervisor)
    supervisor.put(program(home))
    assert pid_of(supervisor) == first
    supervisor.put(program(home, environment={"A": "1"}))
    assert pid_of(supervisor) != first
    assert not is_alive(first)


def test_a_change_that_supervisord_never_heard_of_is_made_good(supervisor: Supervisor, home: Path) -> None:
    supervisor.put(program(home))
    first = pid_of(supervisor)
    changed = program(home, environment={"A": "1"})
    # As after a crash between writing the files and telling supervisord.
    Definitions(home / "programs").write(changed)
    supervisor.put(changed)
    assert pid_of(supervisor) != first


def test_a_program_that_was_given_up_is_started_again(supervisor: Supervisor, home: Path) -> None:
    cure = home / "cure"
    fragile = program(home, "/bin/sh", "-c", f'test -e "{cure}" && exec sleep 1000; exit 3', start_retries=0)
    supervisor.put(fragile)
    assert eventually(lambda: supervisor.state("sleeper") is ProgramState.FATAL)
    assert "too quickly" in supervisor.reports()["sleeper"].problem
    cure.touch()
    supervisor.put(fragile)
    assert eventually(lambda: supervisor.state("sleeper") is ProgramState.RUNNING)


def test_a_program_that_is_killed_comes_back_unless_it_must_not(supervisor: Supervisor, home: Path) -> None:
    supervisor.put(program(home, start_seconds=0))
    supervisor.put(program(home, name="once", start_seconds=0, restart=False))
    first, once = pid_of(supervisor), pid_of(supervisor, "once")
    os.kill(first, signal.SIGKILL)
    os.kill(once, signal.SIGKILL)
    assert eventually(lambda: supervisor.reports()["sleeper"].pid not in {None, first})
    assert eventually(lambda: supervisor.state("once") is ProgramState.EXITED)


def test_removing_a_program_leaves_no_process_and_no_file(supervisor: Supervisor, home: Path) -> None:
    supervisor.put(program(home))
    pid = pid_of(supervisor)
    supervisor.remove("sleeper")
    assert not is_alive(pid)
    assert supervisor.state("sleeper") is ProgramState.ABSENT
    assert supervisor.known() == ()
    assert list((home / "programs").iterdir()) == []
    supervisor.remove("sleeper")


def test_a_program_that_just_died_by_itself_is_removed_all_the_same(supervisor: Supervisor, home: Path) -> None:
    for _ in range(20):
        supervisor.put(program(home, "true", start_seconds=0))
        supervisor.remove("sleeper")
    assert supervisor.known() == ()


def test_a_program_that_ignores_sigterm_is_killed_after_the_time_it_was_given(
    supervisor: Supervisor, home: Path
) -> None:
    ready = home / "ready"
    stubborn = f"""trap "" TERM; touch "{ready}"; while true; do sleep 0.1; done"""
    supervisor.put(program(home, "/bin/sh", "-c", stubborn, stop_wait=timedelta(hours=1)))
    assert eventually(ready.exists)
    pid = pid_of(supervisor)
    supervisor.remove("sleeper", within=timedelta(milliseconds=300))
    assert not is_alive(pid)


def test_the_children_of_a_program_go_with_it(supervisor: Supervisor, home: Path) -> None:
    supervisor.put(program(home, "/bin/sh", "-c", "sleep 1000 & wait"))
    parent = psutil.Process(pid_of(supervisor))
    assert eventually(parent.children)
    [child] = parent.children()
    supervisor.remove("sleeper")
    assert not is_alive(child.pid)


def test_starting_twice_at_once_gives_one_supervisord(empty: Path) -> None:
    start = "import sys; from pathlib import Path; from deployments.supervision import Supervisor; "
    start += "home = Path(sys.argv[1]); Supervisor(home / 'run', home, home / 'logs').start()"
    repository = Path(__file__).resolve().parents[3]
    racing = [subprocess.Popen([sys.executable, "-c", start, str(empty)], cwd=repository) for _ in range(3)]
    assert [process.wait(200) for process in racing] == [0, 0, 0]
    supervisor = Supervisor(empty / "run", empty, empty / "logs")
    [daemon] = daemons_of(empty / "run")
    assert os.getsid(daemon.pid) != os.getsid(0)
    supervisor.shutdown()
    assert not is_alive(daemon.pid)


def test_after_a_crash_of_supervisord_its_programs_come_back_once(mortal: Supervisor, empty: Path) -> None:
    mortal.put(program(empty))
    orphan = pid_of(mortal)
    _kill_daemon(empty)
    assert not mortal.running()
    assert is_alive(orphan)
    mortal.start()
    assert not is_alive(orphan)
    assert eventually(lambda: mortal.reports()["sleeper"].pid not in {None, orphan})


def test_after_a_crash_a_program_with_a_socket_serves_until_it_is_taken_over(mortal: Supervisor, empty: Path) -> None:
    path = empty / "run" / "x.sock"
    taking = program(empty, sys.executable, "-S", "-c", TAKES_SOCKET, str(path), takes_over=path)
    mortal.put(taking)
    assert eventually(path.exists)
    orphan = psutil.Process(pid_of(mortal))
    _kill_daemon(empty)
    before = path.stat()
    mortal.start()
    assert not is_alive(orphan.pid)
    assert path.stat().st_ctime_ns > before.st_ctime_ns
    assert mortal.state("sleeper") in {ProgramState.STARTING, ProgramState.RUNNING}


def test_after_a_crash_a_removed_program_is_ended_as_well(mortal: Supervisor, empty: Path) -> None:
    path = empty / "run" / "x.sock"
    mortal.put(program(empty, takes_over=path))
    orphan = pid_of(mortal)
    _kill_daemon(empty)
    with pytest.raises(TargetUnreachable):
        mortal.remove("sleeper")
    mortal.shutdown()
    assert not is_alive(orphan)


def test_shutdown_leaves_no_process_and_no_socket_but_the_definitions(empty: Path) -> None:
    supervisor = Supervisor(empty / "run", empty, empty / "logs")
    supervisor.start()
    supervisor.put(program(empty))
    pid = pid_of(supervisor)
    supervisor.shutdown()
    assert not is_alive(pid)
    assert not daemons_of(empty / "run")
    assert not list((empty / "run").glob("*.sock")) + list((empty / "run").glob("*.pid"))
    assert (empty / "programs" / "sleeper.conf").is_file()
    supervisor.shutdown()


def test_without_supervisord_every_question_says_what_to_run(empty: Path) -> None:
    supervisor = Supervisor(empty / "run", empty, empty / "logs")
    assert not supervisor.running()
    with pytest.raises(TargetUnreachable, match=r"supervisord\.sock.*seatrial up"):
        supervisor.states()
    with pytest.raises(TargetUnreachable, match="seatrial up"):
        supervisor.put(program(empty))


STRANGE = {
    "a value": "[program:broken]\nstartsecs=soon\n",
    "no section": "startsecs=1\n",
    "garbage": "\0\0[[[",
    "another's": "[supervisord]\nlogfile=/tmp/x\n",
}


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
def test_a_definition_that_nobody_can_read_keeps_no_other_program_away(
    supervisor: Supervisor, home: Path, content: str
) -> None:
    (home / "programs").mkdir(exist_ok=True)
    (home / "programs" / "broken.conf").write_text(content)
    supervisor.put(program(home))
    assert eventually(lambda: supervisor.state("sleeper") is ProgramState.RUNNING)
    assert (home / "programs" / "broken.conf.damaged").read_text() == content
    assert supervisor.known() == ("sleeper",)
    (home / "programs" / "broken.conf.damaged").unlink()


@pytest.mark.parametrize("name", ["sleeper.conf", "sleeper.sh"])
@pytest.mark.parametrize("content", ["", "[program:sleeper]\ncommand=", None], ids=["emptied", "halved", "removed"])
def test_a_damaged_definition_is_made_anew_and_its_program_runs_on(
    supervisor: Supervisor, home: Path, name: str, content: str | None
) -> None:
    supervisor.put(program(home))
    first, path = pid_of(supervisor), home / "programs" / name
    assert eventually(lambda: psutil.Process(first).name() == "sleep")  # what starts it is read to its end
    whole = path.read_bytes()
    path.unlink() if content is None else path.write_text(content)
    supervisor.put(program(home, name="another"))
    assert path.read_bytes() == whole
    assert pid_of(supervisor) == first
    supervisor.put(program(home))
    assert pid_of(supervisor) == first


def test_a_start_finds_every_program_though_one_definition_was_damaged(mortal: Supervisor, empty: Path) -> None:
    mortal.put(program(empty))
    mortal.put(program(empty, name="another"))
    mortal.shutdown()
    (empty / "programs" / "sleeper.conf").write_text("")
    (empty / "programs" / "another.conf").write_text("[program:another")
    mortal.start()
    assert eventually(lambda: set(mortal.states().values()) == {ProgramState.RUNNING})
    assert mortal.known() == ("another", "sleeper")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "../a", "A", "a" * 101])
def test_a_name_that_is_no_file_name_is_refused(home: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot name a program"):
        program(home, name=name)


def test_a_variable_that_no_shell_can_set_is_refused(home: Path) -> None:
    with pytest.raises(BadInput, match="A-B"):
        program(home, environment={"A-B": "1"})


@pytest.mark.parametrize("lost", ["/a ;b", "/a #b", "/a\nb", " /a"])
def test_a_path_that_supervisord_would_misread_is_refused(lost: str) -> None:
    with pytest.raises(BadInput, match="cannot stand"):
        ini_value(lost)


def _kill_daemon(home: Path) -> None:
    [daemon] = daemons_of(home / "run")
    daemon.kill()
    assert eventually(lambda: not is_alive(daemon.pid))


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (b"GET / HTTP/1.1\r\n", b"x-a: " + b"b" * 10_000 + b"\r\n"),
        (b"POST /RPC2 HTTP/1.1\r\ncontent-length: 8589934592\r\n\r\n", b" " * 10_000),
    ],
    ids=["head", "body"],
)
def test_a_request_without_end_is_hung_up_on(shared: tuple[Supervisor, Path], words: bytes, more: bytes) -> None:
    supervisor, folder = shared
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(folder / "run" / "supervisord.sock"))
        with pytest.raises(OSError):
            client.sendall(words)
            for _ in range(1_000):
                client.sendall(more)
    assert supervisor.running()


@pytest.mark.parametrize("length", ["0", "-5"])
def test_a_call_that_says_nothing_is_answered(shared: tuple[Supervisor, Path], length: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(shared[1] / "run" / "supervisord.sock"))
        client.sendall(f"POST /RPC2 HTTP/1.1\r\ncontent-length: {length}\r\n\r\n".encode())
        assert client.recv(1_000).startswith(b"HTTP/1.1 400 ")
