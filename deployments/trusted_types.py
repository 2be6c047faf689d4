"""Stored models are loaded here, and only if every type inside is trusted by name.

The model server and the evaluation use the same function, so that what was judged is what is served.
"""

import sys
import zipfile
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


# Of Python's own library only what holds values: much of the rest can be made to run any code (`cProfile.run`,
# `timeit.timeit`, `operator.methodcaller`, `functools.partial` around one of them).
_HARMLESS: Final = frozenset(
    {
        *(
            f"builtins.{name}"
            for name in ("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int")
        ),
        *(f"builtins.{name}" for name in ("list", "object", "range", "set", "slice", "str", "tuple")),
        *(f"collections.{name}" for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *("decimal.Decimal", "fractions.Fraction", "types.SimpleNamespace", "uuid.UUID", "zoneinfo.ZoneInfo"),
    }
)
_HARMLESS_MODULES: Final = frozenset({"cmath", "math", "statistics"})
# What starts programs, unpickles or evaluates text, and our own code, outside the standard library.
_DANGEROUS_PACKAGES: Final = frozenset(
    (
        *("IPython", "_distutils_hack", "_pytest", "cffi", "cloudpickle", "dask", "dill", "distributed", "jinja2"),
        *("joblib", "mlflow", "numba", "numexpr", "pip", "pkg_resources", "prefect", "psutil", "pytest", "ray"),
        *("setuptools", "skops", "sqlalchemy", "supervisor", "yaml", "deployments", "flows", "tasks"),
    )
)
_DANGEROUS: Final = (
    *("numpy.ctypeslib", "numpy.distutils", "numpy.f2py", "numpy.lib._npyio_impl", "numpy.lib.npyio", "numpy.load"),
    *("numpy.testing", "pandas.core.computation", "pandas.eval", "pandas.io", "pandas.read_pickle", "pandas.util"),
    *("scipy._lib", "scipy.io", "sklearn.datasets", "sklearn.externals", "sklearn.utils._joblib"),
    *("sklearn.utils._testing", "sklearn.utils.fixes"),
)
# skops stores without compression; what is packed tighter than this is there to fill the memory.
_TIGHTEST: Final = 50
_SPARED_BYTES: Final = 64 << 20


def refusal(kind: str) -> str:
    """Why a type, by its full name, may not be trusted whoever asks for it; empty if it may."""
    package = kind.partition(".")[0]
    if kind in _HARMLESS or package in _HARMLESS_MODULES:
        return ""
    if package in sys.stdlib_module_names or package in _DANGEROUS_PACKAGES or _is_below(kind, _DANGEROUS):
        return (
            f"{kind} can be made to run any code when a model is loaded or asked, and is trusted for nobody: give the "
            "model a class or function of your own module instead (of functools.partial: FunctionTransformer's kw_args)"
        )
    return ""


def load_model(path: Path, trusted: Sequence[str]) -> Any:
    """The fitted estimator in a `.skops` file.

    `trusted` is the whole list of extra types (start from `DEFAULT_TRUSTED_TYPES`); types of scikit-learn that skops
    trusts by itself need no entry. Raises `BadArtifact` for a missing or corrupt file, and for one that holds a type
    outside the list, or one with a `refusal`; nothing of the file is then constructed.
    """
    check_types(path, trusted)
    import skops.io

    try:
        return skops.io.load(path, trusted=sorted({kind for kind in trusted if not refusal(kind)}))
    except Exception as error:
        raise BadArtifact(_corrupt(path, error)) from error


def check_types(path: Path, trusted: Sequence[str]) -> None:
    """Raises `BadArtifact` as `load_model` does for the types in a file; nothing of it is constructed."""
    found = set(untrusted_types(path))
    if strangers := sorted(found - set(trusted)):
        raise BadArtifact(
            f"{path} holds types that nobody trusted: {', '.join(strangers)}; "
            "if they are yours, name them under model.trusted_types"
        )
    if why := next(filter(None, map(refusal, sorted(found))), ""):
        raise BadArtifact(f"{path} holds a type that may not be trusted: {why}")


def untrusted_types(path: Path) -> list[str]:
    """Full names of the types in a `.skops` file that skops does not trust by itself. Raises `BadArtifact`."""
    import skops.io

    if not path.is_file():
        raise BadArtifact(f"no model file at {path}: fetch the version again")
    try:
        _refuse_bomb(path)
        return list(skops.io.get_untrusted_types(file=path))
    except BadArtifact:
        raise
    except Exception as error:
        raise BadArtifact(_corrupt(path, error)) from error


def _is_below(kind: str, names: Sequence[str]) -> bool:
    return any(kind == name or kind.startswith(f"{name}.") for name in names)


def _refuse_bomb(path: Path) -> None:
    """Python reads no more of a member than its entry says, so that the sum over all entries is what memory takes."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(each.file_size for each in archive.infolist())
    if unpacked > _SPARED_BYTES + _TIGHTEST * path.stat().st_size:
        raise BadArtifact(
            f"{path} of {path.stat().st_size} bytes would take {unpacked} unpacked, which no model that was trained "
            "here does: train it anew"
        )


def _corrupt(path: Path, error: Exception) -> str:
    return f"{path} cannot be loaded ({type(error).__name__}: {error}): fetch the version again, or train it anew"
