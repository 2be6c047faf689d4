"""No message names a command, an option, a setting or a field of a spec that does not exist."""

import pytest

from tests.architecture.advice import Text, advice, mistakes, texts


def test_whatever_a_text_of_the_code_names_exists() -> None:
    assert [mistake for text in texts() for mistake in mistakes(text)] == []


def test_advice_is_found_at_all() -> None:
    assert len(list(advice())) > 150


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("… does not answer: see `seatrial log gateway`", "no command 'log'"),
        ("… nobody was replaced: `seatrial rollback … --version 2`", "no option --version"),
        ("not reached: set SEATRIAL_GATEWAY_PROT", "no setting SEATRIAL_GATEWAY_PROT"),
        ("not ready: raise rollout.ready_time", "no field rollout.ready_time in a spec"),
    ],
)
def test_what_does_not_exist_is_found(words: str, complaint: str) -> None:
    found = list(mistakes(Text("a.py", 1, words)))
    assert len(found) == 1
    assert complaint in found[0]
