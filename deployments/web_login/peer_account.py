"""Which account of this machine has the other end of a connection: as the kernel says (sock_diag(7))."""

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_REQUEST: Final = 1
_ANY_STATE: Final = 0xFFFFFFFF
_NO_COOKIE: Final = 0xFFFFFFFF
_HEADER: Final = "=LHHLL"  # struct nlmsghdr: length, type, flags, sequence, port
_CONNECTION: Final = "!HH4s12x4s12x"  # of struct inet_diag_sockid: ports and addresses
_REST: Final = "=LLL"  # interface, cookie
_ACCOUNT_AT: Final = 16 + 4 + 48 + 12  # in struct inet_diag_msg behind the header; the inode follows
_PATIENCE: Final = 1.0


def account_at(client: Sequence[object] | None, server: Sequence[object] | None) -> int | None:
    """The uid of whoever holds the socket at `client` (host, port) of a connection to `server`, both on this machine.

    None for a connection from elsewhere, for one that its other end has closed already, and where the kernel does not
    tell (macOS).
    """
    if client is None or server is None or not hasattr(socket, "AF_NETLINK"):
        return None
    (host, port), (our_host, our_port) = (client[:2], server[:2])
    if not isinstance(port, int) or not isinstance(our_port, int) or not str(host).startswith("127."):
        return None
    with suppress(OSError):
        return _asked(_packed(str(host)), port, _packed(str(our_host)), our_port)
    return None


def _packed(host: str) -> bytes:
    return socket.inet_pton(socket.AF_INET, host)


def _asked(host: bytes, port: int, our_host: bytes, our_port: int) -> int | None:
    request = struct.pack("=BBBxL", socket.AF_INET, socket.IPPROTO_TCP, 0, _ANY_STATE)
    request += struct.pack(_CONNECTION, port, our_port, host, our_host)
    request += struct.pack(_REST, 0, _NO_COOKIE, _NO_COOKIE)
    header = struct.pack(_HEADER, struct.calcsize(_HEADER) + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(_PATIENCE)
        kernel.sendto(header + request, (0, 0))
        answer = kernel.recv(4096)
    kind = struct.unpack_from(_HEADER, answer)[1]
    if kind != _SOCK_DIAG_BY_FAMILY or len(answer) < _ACCOUNT_AT + 8:
        return None
    account, inode = struct.unpack_from("=LL", answer, _ACCOUNT_AT)
    return int(account) if inode else None  # a socket without one is nobody's: its account would read as root
