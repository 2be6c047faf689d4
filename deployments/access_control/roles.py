"""Roles, and what each permits."""

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What somebody wants to do."""

    VIEW = "view"  # look at products, rollouts and their history
    ORDER = "order"  # start a release, retry or rollback; pause, resume or abort a rollout
    APPROVE = "approve"  # answer what a rollout asks, or leave evidence out: approve, skip, promote
    ADMINISTER = "administer"  # tokens, webhooks, subscriptions


class Role(StrEnum):
    """Each may what the one before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def permits(self, permission: Permission) -> bool:
        """Whether somebody in this role may."""
        return permission in _PERMITTED[self]


_ORDER: Final = (Permission.VIEW, Permission.ORDER, Permission.APPROVE, Permission.ADMINISTER)
_PERMITTED: Final = {role: frozenset(_ORDER[: number + 1]) for number, role in enumerate(Role)}
