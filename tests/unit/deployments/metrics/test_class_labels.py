import pytest

from deployments.metrics.class_labels import label_text, same_label


@pytest.mark.parametrize(("label", "text"), [(True, "true"), (7, "7"), (7.0, "7"), (7.5, "7.5"), ("UA", "UA")])
def test_a_label_has_one_text_whatever_its_type(label: object, text: str) -> None:
    assert label_text(label) == text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("true", "1", True), ("0", "false", True), ("UA", "UA", True), ("true", "0", False), ("UA", "ua", False)],
)
def test_true_is_the_same_as_one_and_nothing_else_is_guessed(one: str, other: str, same: bool) -> None:
    assert same_label(one, other) is same
    assert same_label(other, one) is same
