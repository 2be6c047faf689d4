"""Whose process is at the other end of a connection."""

import os
import socket
import subprocess
import sys

import pytest

from deployments.web_login.peer_account import account_at

as_root = pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")
# As another account: connects to the port that it is told, and does not leave before it is told so. What it needs is
# imported before: the other account may not read this Python's files.
CALLER = """
import encodings.idna, os, socket, sys
os.setuid(65534)
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
    sys.stdin.read()
"""


def test_ones_own_is_known_until_it_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = listening.getsockname()
        calling = socket.create_connection(ours)
        answering, theirs = listening.accept()
        with answering:
            assert account_at(theirs, ours) == os.getuid()
            calling.close()
            assert account_at(theirs, ours) is None, "what is left of it would read as root's"


@as_root
def test_another_account_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(120)
        ours = listening.getsockname()
        command = [sys.executable, "-I", "-c", CALLER, str(ours[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as caller:
            answering, theirs = listening.accept()
            with answering:
                assert account_at(theirs, ours) == 65534
                assert caller.stdin is not None
                caller.stdin.close()


def test_of_elsewhere_nothing_is_known() -> None:
    ours = ("127.0.0.1", 4200)
    for client in (None, ("10.1.2.3", 5), ("::1", 5, 0, 0), ("testclient", 5), ("127.0.0.1", None), ("127.x", 5)):
        assert account_at(client, ours) is None
    assert account_at(("127.0.0.1", 5), None) is None
