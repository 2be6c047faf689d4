"""What each role permits, and of which products."""

import pytest

from deployments.access_control.principal import ALL, Principal
from deployments.access_control.roles import Permission, Role

PERMITTED = {
    Role.VIEWER: {Permission.VIEW},
    Role.OPERATOR: {Permission.VIEW, Permission.ORDER},
    Role.APPROVER: {Permission.VIEW, Permission.ORDER, Permission.APPROVE},
    Role.ADMIN: set(Permission),
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_each_role_may_what_those_before_it_may(role: Role, permission: Permission) -> None:
    assert role.permits(permission) == (permission in PERMITTED[role])


def test_a_grant_is_for_its_product_and_for_no_other() -> None:
    ann = Principal("ann", {"shop": Role.OPERATOR, "flights": Role.VIEWER})
    assert ann.may(Permission.ORDER, "shop")
    assert not ann.may(Permission.ORDER, "flights")
    assert ann.may(Permission.VIEW, "flights")
    assert not ann.may(Permission.VIEW, "bikeshare")
    assert not ann.may(Permission.VIEW, None)
    assert ann.may_anywhere(Permission.ORDER)
    assert not ann.may_anywhere(Permission.APPROVE)


def test_a_grant_for_all_products_is_for_each_and_for_what_concerns_all() -> None:
    ann = Principal("ann", {ALL: Role.VIEWER, "shop": Role.ADMIN})
    assert ann.may(Permission.VIEW, "flights")
    assert ann.may(Permission.VIEW, None)
    assert not ann.may(Permission.ADMINISTER, None)
    assert ann.may(Permission.ADMINISTER, "shop")


def test_a_product_that_is_called_like_all_of_them_gets_nobody_more() -> None:
    assert not Principal("ann", {"shop": Role.ADMIN}).may(Permission.VIEW, ALL)
