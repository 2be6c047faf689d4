"""What one sender may send in a minute."""

from datetime import timedelta

from deployments.clock import ManualClock
from deployments.metrics.feedback import rate_limit
from deployments.metrics.feedback.rate_limit import Rates


def test_a_bucket_fills_again_within_a_minute() -> None:
    clock = ManualClock()
    of = Rates(60, clock)
    assert of.take("ann", 60) is None
    assert of.take("ann", 30) == timedelta(seconds=30)
    assert of.take("bob", 60) is None
    clock.advance(timedelta(seconds=30))
    assert of.take("ann", 30) is None
    clock.advance(timedelta(days=1))
    assert of.take("ann", 60) is None
    assert of.take("ann", 1) is not None, "what was not sent yesterday is not owed today"


def test_more_than_a_minutes_share_is_sent_at_once_and_paid_for_later() -> None:
    clock = ManualClock()
    of = Rates(60, clock)
    assert of.take("ann", 180) is None
    clock.advance(timedelta(minutes=2))
    assert of.take("ann", 1) is not None
    clock.advance(timedelta(minutes=1))
    assert of.take("ann", 60) is None


def test_so_many_senders_are_remembered_and_no_more() -> None:
    of = Rates(1, ManualClock())
    for number in range(rate_limit._MOST_SENDERS + 100):
        of.take(f"sender-{number}", 1)
    assert len(of._buckets) == rate_limit._MOST_SENDERS
