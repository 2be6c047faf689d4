"""Weights of classes as a spec can say them: JSON knows no key but text, and a class may be a number or a boolean."""

from typing import TYPE_CHECKING, Any, Final

from tasks.models.features import as_category

if TYPE_CHECKING:
    import numpy as np

_PARAMETER: Final = "class_weight"


def name_classes_in_weights(estimator: Any, target: "np.ndarray[Any, Any]") -> None:
    """Puts the classes of `target` in place of their texts, in every `class_weight` inside `estimator`.

    `{"0": 1.0, "1": 5.0}` becomes `{0: 1.0, 1: 5.0}` where the classes are whole numbers. A key that is no class stays.
    """
    weights = {
        name: value
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == _PARAMETER and isinstance(value, dict)
    }
    if not weights:
        return
    import numpy as np

    classes = {as_category(each): each for each in np.unique(target).tolist()}
    named = {
        name: {classes.get(_text(key), key): weight for key, weight in value.items()} for name, value in weights.items()
    }
    estimator.set_params(**named)


def _text(key: Any) -> str:
    """The class as training would write it: the keys `1.0` and `1` are one class."""
    if isinstance(key, str):
        try:
            return as_category(float(key)) if key.endswith(".0") else key
        except ValueError:
            return key
    return as_category(key)
