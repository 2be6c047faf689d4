"""The control service: what users and other programs tell Seatrial over HTTP; what it starts, Prefect runs."""

import sys

# httpx has a command line of its own, for which it would load rich and pygments: 3 MB that nobody here uses.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
