"""`/seatrial/api/v1`: what the command line's looking and ordering commands do, over HTTP.

Belongs here: the table of operations, from which routes, the OpenAPI description and its page are made; reading bodies
and cursors; answering the same to a repeated request. Does not belong here: what is told (flows/reports/), who may
(`access`).
"""

from flows.entrypoints.control_service.api.service import routes

__all__ = ["routes"]
