"""No message names a command, an option, a setting or a field of a spec that does not exist."""

import pytest

from tests.architecture.advice import Followed, advice, mistakes, what_tests_follow
from tests.architecture.texts import Text, texts
from tests.architecture.unfollowed import UNFOLLOWED

# How much advice nobody follows. Whoever follows some lowers it; it never rises.
MOST_UNFOLLOWED = 117


def test_whatever_a_text_of_the_code_names_exists() -> None:
    assert [mistake for text in texts() for mistake in mistakes(text)] == []


def test_advice_is_found_at_all() -> None:
    assert len(list(advice())) > 150


def unfollowed() -> list[Followed]:
    return [Followed(*part) for parts in UNFOLLOWED.values() for part in parts]


def test_advice_is_followed_by_a_test_or_stands_in_the_list_with_a_reason() -> None:
    """New advice: follow it in a test that names it by `tests.advice.followed`."""
    known = [*what_tests_follow(), *unfollowed()]
    assert [str(text) for text in advice() if not any(each.is_of(text) for each in known)] == []


def test_what_a_test_says_that_it_follows_is_said() -> None:
    """By one text alone: a fragment that many have would call what nobody followed followed."""
    said = list(advice())
    found = {each: {text.words for text in said if each.is_of(text)} for each in what_tests_follow()}
    assert {each: words for each, words in found.items() if len(words) != 1} == {}


def test_the_list_of_what_nobody_follows_is_true_and_grows_no_longer() -> None:
    said, done = list(advice()), list(what_tests_follow())
    left = [text for text in said if not any(each.is_of(text) for each in done)]
    stale = [each for each in unfollowed() if not any(each.is_of(text) for text in left)]
    assert stale == [], "followed now, or said no more"
    assert len(left) <= MOST_UNFOLLOWED


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("… does not answer: see `seatrial lgs gateway`", "no command 'lgs'"),
        ("… nobody was replaced: `seatrial rollback … --version 2`", "no option --version"),
        ("not reached: set SEATRIAL_GATEWAY_PROT", "no setting SEATRIAL_GATEWAY_PROT"),
        ("not ready: raise rollout.ready_time", "no field rollout.ready_time in a spec"),
    ],
)
def test_what_does_not_exist_is_found(words: str, complaint: str) -> None:
    found = list(mistakes(Text("a.py", 1, words)))
    assert len(found) == 1
    assert complaint in found[0]
