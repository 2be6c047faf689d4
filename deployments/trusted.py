"""Stored models are loaded here, and only if every type inside is trusted by name.

The model server and the evaluation use the same function, so that what was judged is what is served.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from deployments.errors import BadArtifact

# What scikit-learn's own estimators store beyond what skops trusts by itself; none of these runs code while loading.
DEFAULT_TRUSTED_TYPES: Final = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
)


def load_model(path: Path, trusted: Sequence[str]) -> Any:
    """The fitted estimator in a `.skops` file.

    `trusted` is the whole list of extra types (start from `DEFAULT_TRUSTED_TYPES`); types of scikit-learn that skops
    trusts by itself need no entry. Raises `BadArtifact` for a missing or corrupt file, and for one that holds a type
    outside the list; nothing of the file is then constructed.
    """
    strangers = sorted(set(untrusted_types(path)) - set(trusted))
    if strangers:
        raise BadArtifact(
            f"{path} holds types that nobody trusted: {', '.join(strangers)}; "
            "if they are yours, name them under model.trusted_types"
        )
    import skops.io

    try:
        return skops.io.load(path, trusted=sorted(trusted))
    except Exception as error:
        raise BadArtifact(_corrupt(path, error)) from error


def untrusted_types(path: Path) -> list[str]:
    """Full names of the types in a `.skops` file that skops does not trust by itself. Raises `BadArtifact`."""
    import skops.io

    if not path.is_file():
        raise BadArtifact(f"no model file at {path}: fetch the version again")
    try:
        return list(skops.io.get_untrusted_types(file=path))
    except Exception as error:
        raise BadArtifact(_corrupt(path, error)) from error


def _corrupt(path: Path, error: Exception) -> str:
    return f"{path} cannot be loaded ({type(error).__name__}: {error}): fetch the version again, or train it anew"
