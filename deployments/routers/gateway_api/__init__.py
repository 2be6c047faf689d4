"""Traffic split by a Gateway that the user has: our rules in an HTTPRoute (Gateway API v1)."""

from deployments.routers.gateway_api.router import GatewayApiRouter

__all__ = ["GatewayApiRouter"]
