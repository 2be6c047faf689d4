"""Who asks: a name for the history, and a role for each product."""

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deployments.access_control.roles import Permission, Role

# Stands for every product in grants.
ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who asks. `who` is what the history says of him, such as `deploy-bot (token)`.

    `grants`: a role for each product, or for `*`, which is every product.
    """

    who: str
    grants: Mapping[str, Role]

    def may(self, permission: Permission, product: str | None) -> bool:
        """Whether he may, of `product`; None: whatever concerns all products at once."""
        roles = [self.grants.get(each) for each in (ALL, product or ALL)]
        return any(role.permits(permission) for role in roles if role is not None)

    def may_anywhere(self, permission: Permission) -> bool:
        """Whether he may of one product at least."""
        return any(role.permits(permission) for role in self.grants.values())


def account() -> str:
    """`NAME@HOST` of the account that this process runs as."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def at_command_line() -> str:
    """What the history calls whoever gives a command in a shell of this machine."""
    return f"{account()} (command line)"


def of_this_account(by: str) -> Principal:
    """The account that the platform belongs to: he could change every file of it, and so may everything.

    `by` says how he asks, for the history.
    """
    return Principal(f"{account()} ({by})", {ALL: Role.ADMIN})
