"""Webhooks over HTTP: what is answered, and the threads that start what was accepted."""

from flows.entrypoints.control_service.webhooks.service import routes

__all__ = ["routes"]
