"""Where servers listen."""

import socket

import pytest

from deployments.serving.startup.socket_handover import tcp_listener


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_star_is_every_address_of_both_families(address: str) -> None:
    with tcp_listener("*", 0) as listener:
        socket.create_connection((address, listener.getsockname()[1]), timeout=60).close()


def test_a_star_is_every_address_of_ipv4_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with tcp_listener("*", 0) as listener:
        assert listener.family is socket.AF_INET
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=60).close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_ipv6_is_that_address_alone() -> None:
    with tcp_listener("::1", 0) as listener:
        socket.create_connection(("::1", listener.getsockname()[1]), timeout=60).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=60)
