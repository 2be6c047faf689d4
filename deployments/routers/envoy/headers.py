"""Headers by which the gateway tells servers, and itself, what a request is and where it comes from."""

from typing import Final

from deployments.routers.envoy.config_files import Json

# From which address a request comes, as the first listener knows. In `x-forwarded-for` it writes its own address for
# whoever comes by loopback.
SENDER_HEADER: Final = "x-seatrial-sender"
# Both ends of the connection that a request came by, as `client server`: by them the kernel tells whose it is.
PEER_HEADER: Final = "x-seatrial-peer"
# Set on what the listener for others has let in.
ADMITTED_HEADER: Final = "x-seatrial-admitted"


def mark(header: str) -> Json:
    """The mutation that sets such a header, whatever a client sent."""
    return {"header": {"key": header, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def sent_from() -> Json:
    """Says who the sender is, unless that is said already; a client cannot say it."""
    value = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
    return {"header": {"key": SENDER_HEADER, "value": value}, "append_action": "ADD_IF_ABSENT"}


def came_by() -> Json:
    """Says by which connection a request came; a client cannot say it."""
    value = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS%"
    return {"header": {"key": PEER_HEADER, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
