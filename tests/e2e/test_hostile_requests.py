"""A sample of `tests/hostile/test_listeners.py`: a thousand hostile requests to the listeners of a whole platform."""

import pytest

from tests.e2e.conftest import Seatrial, Shop
from tests.hostile.attacked import Attacked
from tests.hostile.storm_over_all import storm_over_all

pytestmark = pytest.mark.platform


def test_hostile_requests_to_every_listener_are_weathered(seatrial: Seatrial, shop: Shop) -> None:
    shop.write()
    assert seatrial.run("release", str(shop.file)).returncode == 0
    attacked = Attacked(seatrial, shop.name)
    storm_over_all(attacked, attacked.listeners(), requests=1_000, seed=12)


def test_nothing_listens_that_the_table_of_listeners_does_not_name(seatrial: Seatrial) -> None:
    attacked = Attacked(seatrial)
    known = {*attacked.ports.values(), attacked.port_of_worker()}
    ports = {each for each in attacked.listening() if isinstance(each, int)}
    assert ports == known
