"""A damaged file of one product at a real gateway: other products go on, and nobody's route is taken away."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.routers.gateway import constant_load, eventually
from tests.contracts.routers.worlds import EnvoyWorld, one, two


def emptied(path: Path) -> None:
    path.write_text("")


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [emptied, removed])
@pytest.mark.parametrize("name", ["products/{product}.json", "rds.json", "cds.json", "eds/{product}_v1.json"])
def test_another_product_s_change_rebuilds_the_file_and_loses_no_request(
    own: EnvoyWorld, product: str, name: str, damage: Callable[[Path], None]
) -> None:
    routing = two(own.server(1), own.server(2), 50)
    own.router.apply(product, routing)
    path = own.gateway.folder / name.format(product=product)
    record = (own.gateway.folder / "products" / f"{product}.json").read_bytes()
    damage(path)
    with constant_load(own.gateway.port, product) as answers:
        own.router.apply("another", one(3, own.server(3)))
        own.router.remove("another")
        moved = len(answers)
        eventually(lambda: len(answers) > moved + 100)
    assert set(answers) == {1, 2}
    assert path.is_file()
    assert (own.gateway.folder / "products" / f"{product}.json").read_bytes() == record
    assert own.router.read(product) == routing
    own.restart()
    eventually(lambda: set(own.ask(product, 50)) == {1, 2})
