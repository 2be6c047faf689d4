"""Whether a process that held something is still there: by ticks, boot and namespace, never by a clock."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.process_identity import Owner, this_process

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OUTSIDE, INSIDE = "4026531836", "4026532500"
BOOT, FORMER_BOOT = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
NOBODY = 2**22 + 7

FakeProc = Callable[..., Path]


@pytest.fixture
def fake_proc(tmp_path: Path) -> FakeProc:
    """A /proc with this process in it, and others by `put`."""

    def made(boot: str = BOOT, namespace: str = OUTSIDE, own: int | None = None) -> Path:
        proc = Path(tmp_path, f"{boot}-{namespace}-{own}")
        (proc / "sys/kernel/random").mkdir(parents=True)
        (proc / "sys/kernel/random/boot_id").write_text(f"{boot}\n")
        own = own or os.getpid()
        put(proc, own, 500)
        (proc / str(own) / "ns").mkdir()
        (proc / str(own) / "ns" / "pid").symlink_to(f"pid:[{namespace}]")
        (proc / "self").symlink_to(str(own))
        return proc

    return made


def put(proc: Path, pid: int, started: int, state: str = "S", name: str = "python") -> None:
    (proc / str(pid)).mkdir(exist_ok=True)
    fields = [state, *["0"] * 18, str(started), *["0"] * 30]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")


def other(proc: Path, pid: int, started: int, state: str = "S", name: str = "python") -> Owner:
    """Another process that is in this /proc."""
    put(proc, pid, started, state, name)
    return replace(this_process(proc), pid=pid, started=started)


def test_an_owner_reads_back_equal_from_its_text(fake_proc: FakeProc) -> None:
    for owner in (this_process(), this_process(fake_proc()), replace(this_process(), host="a:host", machine="")):
        assert Owner.parse(str(owner)) == owner


def test_the_text_of_older_journals_is_read_and_nothing_is_known_of_who_wrote_it() -> None:
    old = Owner.parse("a:host:12:5.25")
    assert old == Owner("a:host", 12, 5.25)
    assert Owner.parse(str(old)) == old
    mine = Owner.parse(f"{this_process().host}:{NOBODY}:1767225600.00")
    assert (mine.lives(), mine.is_gone(), mine.is_here()) == (None, False, False)


@pytest.mark.parametrize("text", ["", "nonsense", "a:b:c", "host:1", "2:m:b:n:x:1:host", "2:m:b:n:1:host"])
def test_text_that_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not enough values|could not convert|invalid literal"):
        Owner.parse(text)


def test_the_text_fits_where_it_is_kept() -> None:
    longest = Owner("h" * 64, 2**22, 10**15, "f" * 32, BOOT, "4294967295")
    assert len(str(longest)) <= 255
    assert "/" not in str(longest)


def test_a_living_process_keeps_what_it_has_whatever_the_wall_clock_says(fake_proc: FakeProc) -> None:
    living, dead = this_process(), replace(this_process(), pid=NOBODY)
    for now in (NOW - timedelta(days=400), NOW + timedelta(days=400)):
        assert living.keeps(NOW, now)
        assert not dead.keeps(NOW, now)
    doubtful = Owner("another-host", 1, 5.0)
    assert [doubtful.keeps(NOW, now) for now in (NOW - timedelta(seconds=1), NOW)] == [True, False]


def test_a_process_that_ended_is_gone_and_so_is_one_that_nobody_fetched() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ticks = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
    owner = replace(this_process(), pid=child.pid, started=ticks)
    assert owner.is_here()
    assert child.stdin
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_gone()  # a zombie: nobody asked yet how it ended
    child.wait()
    assert owner.is_gone()


def test_a_number_that_was_given_to_somebody_else_is_gone(fake_proc: FakeProc) -> None:
    proc = fake_proc()
    owner = other(proc, 77, 1000)
    assert owner.is_here(proc)
    put(proc, 77, 1001)
    assert owner.is_gone(proc)


@pytest.mark.parametrize("name", ["a (b) c", ") S 0 0", "(", "new\nline"])
def test_a_program_may_be_called_anything(fake_proc: FakeProc, name: str) -> None:
    proc = fake_proc()
    assert other(proc, 77, 1000, name=name).is_here(proc)
    assert other(proc, 78, 1000, "Z", name).is_gone(proc)


def test_a_stopped_process_lives(fake_proc: FakeProc) -> None:
    proc = fake_proc()
    assert other(proc, 77, 1000, "T").is_here(proc)


def test_nobody_of_a_former_boot_is_left(fake_proc: FakeProc) -> None:
    proc = fake_proc()
    owner = replace(other(proc, 77, 1000), machine=this_process().machine or "m")
    if not this_process().machine:
        pytest.skip("this machine has no id, so that no boot is known to be a former one of it")
    assert replace(owner, boot=FORMER_BOOT).is_gone(proc)


def test_another_container_of_the_same_image_is_no_former_boot(fake_proc: FakeProc) -> None:
    """An image may bring a machine id along: elsewhere it is another machine of that id."""
    proc = fake_proc(namespace=INSIDE)
    owner = replace(other(proc, 77, 1000), boot=FORMER_BOOT)
    assert owner.lives(proc) is None
    assert replace(owner, namespace=OUTSIDE).lives(proc) is None


@pytest.mark.parametrize(
    "difference",
    [{"namespace": INSIDE}, {"machine": "another"}, {"boot": FORMER_BOOT, "host": "another-host"}, {"boot": ""}],
)
def test_of_another_namespace_machine_or_host_nothing_is_known(fake_proc: FakeProc, difference: dict[str, str]) -> None:
    proc = fake_proc()
    owner = replace(this_process(proc), pid=NOBODY, **difference)  # type: ignore[arg-type]
    assert (owner.lives(proc), owner.is_gone(proc), owner.is_here(proc)) == (None, False, False)


def test_a_host_that_is_renamed_is_the_same(fake_proc: FakeProc) -> None:
    proc = fake_proc()
    assert replace(other(proc, 77, 1000), host="its-former-name").is_here(proc)


def test_numbers_of_a_proc_that_is_of_another_namespace_say_nothing(fake_proc: FakeProc) -> None:
    """`unshare --pid --fork` without `--mount-proc`: /proc/77 is not our 77."""
    proc = fake_proc(own=os.getpid() + 1)
    assert other(proc, 77, 1000).lives(proc) is None


def test_a_process_that_proc_hides_is_not_gone(fake_proc: FakeProc) -> None:
    """Mounted with hidepid, /proc shows nobody the processes of others; a signal to them is refused, not lost."""
    proc = fake_proc()
    assert replace(this_process(proc), pid=os.getppid(), started=1).lives(proc) is None


def test_without_proc_nothing_is_known(tmp_path: Path) -> None:
    owner = this_process(tmp_path)
    assert (owner.boot, owner.lives(tmp_path), owner.pid) == ("", None, os.getpid())
    assert Owner.parse(str(owner)) == owner


def test_a_fork_signs_for_itself() -> None:
    before = this_process()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, str(this_process()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    signed = Owner.parse(os.read(reading, 1000).decode())
    os.close(reading)
    os.close(writing)
    assert (signed.pid, signed.boot, signed.machine) == (child, before.boot, before.machine)
    assert signed.started >= before.started
    assert signed.is_gone()


@pytest.mark.parametrize("mounted", [["--mount-proc"], []], ids=["own-proc", "proc-of-the-outside"])
def test_a_runner_of_the_same_name_in_another_namespace_knows_nothing_of_ours(mounted: list[str]) -> None:
    """Nor do we of it: its pid 1 is not our pid 1."""
    unshare = shutil.which("unshare")
    inner = [*([unshare] if unshare else []), "--user", "--map-root-user", "--pid", "--fork", *mounted]
    if not unshare or subprocess.run([*inner, "true"], capture_output=True, check=False).returncode:
        pytest.skip("the kernel lets us make no PID namespace here")
    code = (
        "import sys; from deployments.process_identity import Owner, this_process\n"
        "print(this_process()); print(Owner.parse(sys.argv[1]).lives(), this_process().lives())"
    )
    command = [*inner, sys.executable, "-c", code, str(this_process())]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    theirs = Owner.parse(said[0])
    assert (theirs.host, theirs.machine, theirs.boot) == (
        *(getattr(this_process(), n) for n in ("host", "machine", "boot")),
    )
    assert theirs.namespace != this_process().namespace
    assert said[1] == ("None True" if mounted else "None None")
    assert theirs.lives() is None
    assert theirs.place != this_process().place
