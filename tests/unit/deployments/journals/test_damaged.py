"""A row of the journal that was edited, or written by another version of Seatrial."""

import contextlib
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.errors import BadInput
from deployments.journals.database import DatabaseJournal
from deployments.process_identity import this_process
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import World


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"steps": []}', '{"steps": [{"step": "of a later version"}]}'])
def test_a_row_that_cannot_be_read_concerns_its_own_product_alone(tmp_path: Path, damage: str) -> None:
    journal, world = DatabaseJournal(f"sqlite:///{tmp_path / 'journal.db'}"), World(tmp_path)
    state = begin(world.wish(1), world.doors)
    for product in ("bikes", "flights"):
        lease = journal.acquire(product, this_process(), state.started_at, timedelta(minutes=1))
        journal.save(replace(state, product=product, rollout_id=product), lease)
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as database, database:
        database.execute("UPDATE rollouts SET state = ? WHERE product = 'bikes'", (damage,))
    assert [each.product for each in journal.under_way()] == ["flights"]
    assert journal.rollouts("flights")
    with pytest.raises(BadInput, match="a rollout that cannot be read"):
        journal.rollouts("bikes")
    journal.close()
