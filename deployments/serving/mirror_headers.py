"""What tells a request from any other user's: that it is a copy whose answer nobody gets, or that it is copied.

Its headers say so, which a gateway sets. Where the gateway cannot, the port says it by which the request came in, if
the gateway is known by its proof (`deployments.caller_authentication`).
"""

from collections.abc import Mapping
from typing import Final

MIRRORED: Final = b"x-seatrial-mirrored"
PAIRED: Final = b"x-seatrial-paired"

# By port, the header that all requests which come in by it are taken to have.
Marks = Mapping[int, bytes]
