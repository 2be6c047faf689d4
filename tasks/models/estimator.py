"""The unfitted estimator that a spec asks for: a class of an allowed package, or what the user's own factory makes."""

import difflib
import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from deployments.errors import BadModel
from deployments.settings import Settings
from tasks.problem_types import TaskKind
from tasks.product_spec import ModelSection, Output

_INSTALLED: Final = {"site-packages", "dist-packages"}


def build_estimator(model: ModelSection, settings: Settings, *, fitted_here: bool = True) -> Any:
    """An unfitted estimator: seeded wherever it takes a seed, and within `settings.training_jobs` cores.

    A cluster bounds what is not fitted here.

    Raises `BadModel` when the class or factory cannot be had, does not take the parameters, or does not fit the task.
    """
    made = _from_factory(model, settings) if model.factory else _from_class(str(model.estimator), model, settings)
    _check_task(made, model)
    _check_values(made)
    if model.output is Output.PROBABILITY and not hasattr(made, "predict_proba"):
        raise BadModel(f"{_name_of(made)} gives no probabilities: use output: prediction, or another estimator")
    _seed(made, model.seed)
    if fitted_here:
        _bound_jobs(made, settings.training_jobs)
    return made


def make_importable(project: Path) -> None:
    """Lets the user's own modules be imported, after all that is installed; a model of theirs needs them to load."""
    if str(project) not in sys.path:
        sys.path.append(str(project))
        importlib.invalidate_caches()


def _from_class(path: str, model: ModelSection, settings: Settings) -> Any:
    package = path.split(".", maxsplit=1)[0]
    if package not in settings.allowed_packages:
        raise BadModel(
            f"estimator {path!r} is not from an allowed package ({', '.join(settings.allowed_packages)}): "
            "use one of these, a factory of your own, or add it to SEATRIAL_ALLOWED_PACKAGES"
        )
    found = _attribute(path)
    if not inspect.isclass(found) or found.__module__.split(".", maxsplit=1)[0] != package:
        raise BadModel(f"estimator {path!r} is no class that {package} defines: give the import path of an estimator")
    if not _can_learn(found):
        raise BadModel(f"estimator {path!r} has no fit and predict: give a classifier or a regressor")
    _check_parameters(path, found, model.parameters)
    return _made(path, found, model)


def _from_factory(model: ModelSection, settings: Settings) -> Any:
    path = str(model.factory)
    _check_place(path, settings)
    factory = _attribute(path)
    if not callable(factory):
        raise BadModel(f"factory {path!r} is {type(factory).__name__}, not callable: give a function")
    _check_origin(path, factory, settings)
    made = _made(path, factory, model)
    if inspect.isclass(made) or not _can_learn(made):
        raise BadModel(
            f"factory {path!r} returned {_name_of(made)}, which has no fit and predict: return an unfitted estimator"
        )
    return made


def _made(path: str, maker: Any, model: ModelSection) -> Any:
    try:
        return maker(**model.parameters)
    except Exception as error:
        raise BadModel(f"{path} raised {type(error).__name__}: {error}; check model.parameters") from error


def _check_place(path: str, settings: Settings) -> None:
    """A factory may only come from the user's project: packages have functions that delete folders, too."""
    package = path.split(".", maxsplit=1)[0]
    project = settings.project.resolve()
    if importlib.machinery.PathFinder.find_spec(package, [str(project)]) is None:
        raise BadModel(
            f"factory {path!r}: no module {package!r} in {project}: write the function there, or check SEATRIAL_PROJECT"
        )
    make_importable(project)
    if not _lies_in(project, _module(package, path)):
        raise BadModel(f"factory {path!r}: an installed package is called {package!r} too; rename yours in {project}")


def _check_origin(path: str, factory: Any, settings: Settings) -> None:
    """What a module of the project merely imports is not the project's: `from subprocess import run`, say."""
    home = sys.modules.get(getattr(factory, "__module__", None) or "")
    name = getattr(factory, "__qualname__", "")
    if home is None or getattr(home, name, None) is not factory or _can_learn(factory):
        return
    package = home.__name__.split(".", maxsplit=1)[0]
    if package not in settings.allowed_packages and not _lies_in(settings.project.resolve(), home):
        raise BadModel(f"factory {path!r} is {home.__name__}.{name}, which your project only imports: write a function")


def _lies_in(project: Path, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", ()))
    # An environment may lie in the project, and is none of its modules.
    return any(
        Path(place).resolve().is_relative_to(project) and not _INSTALLED & set(Path(place).resolve().parts)
        for place in places
    )


def _attribute(path: str) -> Any:
    module_path, _, name = path.rpartition(".")
    module = _module(module_path, path)
    if hasattr(module, name):
        return getattr(module, name)
    raise BadModel(f"{module_path} has no {name!r}{_near(name, _makers(module))}: correct the import path")


def _makers(module: ModuleType) -> Iterator[str]:
    """Names of what could be meant: what the package itself made, and can be called."""
    package = module.__name__.partition(".")[0]
    for name, value in vars(module).items():
        own = str(getattr(value, "__module__", "")).partition(".")[0] == package
        if callable(value) and own and not name.startswith("_"):
            yield name


def _module(name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise BadModel(f"{path}: importing {name} raised {type(error).__name__}: {error}; correct it") from error


def _check_parameters(path: str, maker: type, parameters: Iterable[str]) -> None:
    accepted = inspect.signature(maker).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in accepted.values()):
        return
    if unknown := [f"{name!r}{_near(name, accepted)}" for name in parameters if name not in accepted]:
        raise BadModel(f"{path} has no parameter {', '.join(unknown)}; it takes {', '.join(accepted)}")


def _check_task(made: Any, model: ModelSection) -> None:
    from sklearn.base import BaseEstimator, is_classifier, is_regressor

    if not isinstance(made, BaseEstimator):
        raise BadModel(f"{_name_of(made)} is no scikit-learn estimator: let it inherit sklearn.base.BaseEstimator")
    fits = is_classifier(made) if model.task is TaskKind.CLASSIFICATION else is_regressor(made)
    if not fits:
        kind = "classifier" if model.task is TaskKind.CLASSIFICATION else "regressor"
        raise BadModel(f"{_name_of(made)} is no {kind}, but model.task is {model.task}: change one of them")


def _check_values(made: Any) -> None:
    """scikit-learn looks at its parameters only when it fits, which may be an hour of reading and validating later."""
    from sklearn.utils._param_validation import InvalidParameterError

    for each in (made, *made.get_params(deep=True).values()):
        if not inspect.isclass(each) and type(each).__module__.startswith("sklearn."):
            try:
                getattr(each, "_validate_params", lambda: None)()
            except InvalidParameterError as error:
                raise BadModel(f"{error} Correct it in model.parameters") from None


def _seed(made: Any, seed: int) -> None:
    _set_where(made, "random_state", lambda value: seed if value is None else value)


def _bound_jobs(made: Any, jobs: int) -> None:
    """None stays: it means one core, and some estimators no longer want to be told."""
    _set_where(made, "n_jobs", lambda value: None if value is None else jobs if value < 0 else min(value, jobs))


def _set_where(made: Any, name: str, new: Any) -> None:
    known = made.get_params(deep=True)
    wanted = {key: new(value) for key, value in known.items() if key == name or key.endswith(f"__{name}")}
    if changed := {key: value for key, value in wanted.items() if value is not known[key]}:
        made.set_params(**changed)


def _can_learn(thing: Any) -> bool:
    return all(callable(getattr(thing, method, None)) for method in ("fit", "predict"))


def _name_of(thing: Any) -> str:
    return f"the class {thing.__name__}" if inspect.isclass(thing) else type(thing).__name__


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
