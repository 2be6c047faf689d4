"""Whether a process that held something is still there."""

import os
import socket

import psutil
import pytest

from deployments.owner import Owner, this_process


def test_a_living_process_is_not_gone() -> None:
    assert not this_process().is_gone()


def test_an_owner_reads_back_equal_from_its_text() -> None:
    assert Owner.parse(str(this_process())).pid == os.getpid()
    assert Owner.parse("a:host:12:5.25") == Owner("a:host", 12, 5.25)


def test_a_process_that_ended_is_gone() -> None:
    child = psutil.Popen(["/bin/sleep", "60"])
    owner = Owner(socket.gethostname(), child.pid, child.create_time())
    assert not owner.is_gone()
    child.kill()
    child.wait()
    assert owner.is_gone()


def test_a_pid_that_was_given_to_somebody_else_is_gone() -> None:
    assert Owner(socket.gethostname(), os.getpid(), psutil.Process().create_time() - 60).is_gone()


def test_of_another_host_nothing_is_known() -> None:
    assert not Owner("another-host", 1, 5.0).is_gone()


@pytest.mark.parametrize("text", ["", "nonsense", "a:b:c", "host:1"])
def test_text_that_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not enough values|could not convert|invalid literal"):
        Owner.parse(text)
