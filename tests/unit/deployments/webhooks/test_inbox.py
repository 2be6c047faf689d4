"""What is accepted is on the disk once, and what is found in the registry is not taken for something new."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.errors import DiskFull
from deployments.webhooks import inbox as inboxes
from deployments.webhooks.inbox import FOUND, KEPT_FOR, Delivery, Inbox, Kept, State, mark_of
from deployments.webhooks.requests import Action, Wish
from tests.unit.deployments.webhooks.deliveries import PRODUCT, START

RULE = "alias:challenger"


def release(identity: str, product: str = PRODUCT, source: str = "github") -> Delivery:
    wish = Wish(Action.RELEASE, None, "push", "push of 0123456 to main", START)
    return Delivery(mark_of(source, product, identity), source, product, identity, wish, START, START)


def rollout(version: int, after: timedelta, rule: str = RULE) -> Delivery:
    """MLflow's, of a change that was made `after` the start, and came a second later."""
    at = START + after
    wish = Wish(Action.ROLLOUT, version, rule, f"{rule} was set on v{version}", at)
    identity = f"{rule}-{version}-{after}"
    return Delivery(
        mark_of("mlflow", PRODUCT, identity), "mlflow", PRODUCT, identity, wish, at, at + timedelta(seconds=1)
    )


def by_look(version: int, after: timedelta) -> Delivery:
    return replace(rollout(version, after), delivery=f"{FOUND}{version}", mark=mark_of("look", PRODUCT, f"{version}"))


@pytest.fixture
def place(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def inbox(place: str) -> Iterator[Inbox]:
    opened = Inbox(place)
    yield opened
    opened.close()


def test_a_repetition_is_known_also_in_one_commit_and_after_a_restart(inbox: Inbox, place: str) -> None:
    one, two = release("1"), release("2")
    assert inbox.put([one, two, one]) == (Kept.NEW, Kept.NEW, Kept.KNOWN)
    other = Inbox(place)
    assert other.put([two, release("3")]) == (Kept.KNOWN, Kept.NEW)
    assert {each.delivery for each in other.waiting(10)} == {"1", "2", "3"}
    assert other.find(one.mark) == one
    other.close()


def test_the_same_id_of_another_source_or_product_is_another_delivery(inbox: Inbox) -> None:
    assert inbox.put([release("1"), release("1", source="generic"), release("1", "other")]) == (Kept.NEW,) * 3


def test_what_became_of_it_is_kept_and_is_no_more_waited_for(inbox: Inbox) -> None:
    inbox.put([release("1"), release("2")])
    inbox.became(release("1").mark, State.STARTED, run="run-1")
    assert [each.delivery for each in inbox.waiting(10)] == ["2"]
    assert inbox.count_waiting() == {PRODUCT: 1}
    found = inbox.find(release("1").mark)
    assert found is not None
    assert (found.state, found.run, found.tries) == (State.STARTED, "run-1", 1)


def test_so_many_of_a_product_wait_and_no_more(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "MOST_WAITING", 2)
    assert inbox.put([release("1"), release("2"), release("3"), release("1", "other")]) == (
        Kept.NEW, Kept.NEW, Kept.NO_ROOM, Kept.NEW,
    )  # fmt: skip
    inbox.became(release("1").mark, State.STARTED)
    assert inbox.put([release("3")]) == (Kept.NEW,)


def test_what_was_given_up_waits_again_if_somebody_says_so(inbox: Inbox) -> None:
    inbox.put([release("1"), release("1", "other"), release("2")])
    for each in (release("1"), release("1", "other")):
        inbox.became(each.mark, State.DEAD, "no such deployment")
    assert [each.product for each in inbox.newest(10, state=State.DEAD, product=PRODUCT)] == [PRODUCT]
    assert inbox.again(PRODUCT) == 1
    assert [each.why for each in inbox.newest(10, state=State.DEAD)] == ["no such deployment"]
    assert inbox.again() == 1


def test_only_what_no_repetition_can_be_fresh_of_is_forgotten(inbox: Inbox) -> None:
    inbox.put([release("1"), release("2")])
    inbox.became(release("1").mark, State.STARTED)
    assert inbox.forget(START + KEPT_FOR) == 0
    assert inbox.forget(START + KEPT_FOR + timedelta(seconds=1)) == 1
    assert [each.delivery for each in inbox.newest(10)] == ["2"]


def test_what_a_look_found_first_is_not_started_again_by_its_late_delivery(inbox: Inbox) -> None:
    inbox.looked(PRODUCT, RULE, frozenset(), START, [])
    found = replace(by_look(3, timedelta(0)), received=START + timedelta(seconds=40))
    assert inbox.looked(PRODUCT, RULE, frozenset({3}), START + timedelta(seconds=40), [found]) == 1
    inbox.looked(PRODUCT, RULE, frozenset({3}), START + timedelta(seconds=55), [])
    assert inbox.put([rollout(3, timedelta(seconds=5))]) == (Kept.KNOWN,)
    assert inbox.put([rollout(3, timedelta(seconds=50))]) == (Kept.NEW,)  # set once more
    assert inbox.put([rollout(4, timedelta(seconds=5))]) == (Kept.NEW,)


def test_what_was_delivered_while_a_look_went_on_is_not_found_again(inbox: Inbox) -> None:
    inbox.looked(PRODUCT, RULE, frozenset(), START, [])
    inbox.put([rollout(3, timedelta(seconds=5))])
    assert inbox.looked(PRODUCT, RULE, frozenset({3}), START + timedelta(seconds=40), [by_look(3, timedelta(0))]) == 0
    assert len(inbox.newest(10)) == 1


def test_an_alias_stands_where_the_newest_delivery_says_whatever_comes_last(inbox: Inbox) -> None:
    inbox.put([rollout(4, timedelta(seconds=9))])
    inbox.put([rollout(3, timedelta(seconds=5))])
    seen = inbox.seen(PRODUCT, RULE)
    assert seen is not None
    assert seen.versions == {4}


def test_a_tag_may_stand_on_several_versions(inbox: Inbox) -> None:
    inbox.put([rollout(3, timedelta(seconds=5), "tag:ready"), rollout(4, timedelta(seconds=9), "tag:ready")])
    seen = inbox.seen(PRODUCT, "tag:ready")
    assert seen is not None
    assert seen.versions == {3, 4}


def test_a_database_that_is_full_keeps_nothing_and_says_so(inbox: Inbox) -> None:
    inbox.put([release("1")])
    full = replace(release("2"), wish=replace(release("2").wish, reason="x" * 5_000_000))
    with inbox._database._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFull):
        inbox.put([full])
    assert [each.delivery for each in inbox.newest(10)] == ["1"]
